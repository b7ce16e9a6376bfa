"""Text that a package carries compressed (xz) and nobody reads at loading: it is unpacked when it is asked for."""

import lzma
from dataclasses import dataclass

from .errors import PackageError

_LARGEST = 256 << 20  # bytes of text: a hundred times the LLVM IR of a small network
_MEMORY = 64 << 20  # bytes, for the decompressor's dictionary
_PRESET = 2  # LLVM IR in an eighteenth of its size; the default preset takes ten times as long for another tenth


@dataclass(frozen=True)
class PackedText:
    """data: an xz stream of UTF-8. str() gives the text, and raises PackageError where the stream is damaged or of
    more text than can be meant."""

    data: bytes

    def __str__(self):
        stream = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MEMORY)
        try:
            text = stream.decompress(self.data, _LARGEST)
            if not stream.eof or stream.unused_data:
                raise PackageError(f"a packed text is cut short, or of more than {_LARGEST} bytes; compile the package again")
            return text.decode()
        except (lzma.LZMAError, ValueError) as error:
            raise PackageError(f"a packed text cannot be read ({error}); compile the package again") from error


def packed(text: "str | PackedText") -> bytes:
    """The stream of a text: the same bytes for the same text."""
    if isinstance(text, PackedText):
        return text.data
    return lzma.compress(text.encode(), lzma.FORMAT_XZ, lzma.CHECK_CRC32, _PRESET)
