"""Bytes and text that a package carries compressed (xz) and nobody reads at loading: they are unpacked when they are
asked for."""

import lzma
from dataclasses import dataclass

from .errors import PackageError

_LARGEST = 256 << 20  # The bytes are a hundred times the LLVM IR of a small network.
_MEMORY = 64 << 20  # The bytes bound the decompressor's dictionary.
_PRESET = 2  # Higher presets take many times as long on LLVM IR and save next to nothing (docs/architecture.md).


@dataclass(frozen=True)
class Packed:
    """A compressed member of a package. data: an xz stream. bytes() gives what it holds, and raises PackageError where
    the stream is damaged or of more than can be meant."""

    data: bytes

    def __bytes__(self) -> bytes:
        stream = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MEMORY)
        try:
            found = stream.decompress(self.data, _LARGEST)
        except lzma.LZMAError as error:
            raise PackageError(f"a packed member cannot be read ({error}); compile the package again") from error
        if not stream.eof or stream.unused_data:
            raise PackageError(
                f"a packed member is cut short, or of more than {_LARGEST} bytes; compile the package again"
            )
        return found


@dataclass(frozen=True)
class PackedText(Packed):
    """A packed text in UTF-8; str() gives the text."""

    def __str__(self) -> str:
        try:
            return bytes(self).decode()
        except UnicodeDecodeError as error:
            raise PackageError(f"a packed member is no text ({error}); compile the package again") from error


def packed_stream(content: str | bytes | Packed) -> bytes:
    """The stream of a content: the same bytes for the same content."""
    if isinstance(content, Packed):
        return content.data
    return lzma.compress(
        content.encode() if isinstance(content, str) else content, lzma.FORMAT_XZ, lzma.CHECK_CRC32, _PRESET
    )
