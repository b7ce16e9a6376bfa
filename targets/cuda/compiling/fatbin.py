"""The container that a driver takes several images in: machine code and PTX, uncompressed. As the toolkit's `fatbinary
--compress=false` writes it."""

import re
import struct

_MAGIC, _HEADER, _ENTRY = 0xBA55ED50, 16, 64
_PTX, _ELF = 1, 2
_FLAGS = 0x11  # The flags say that the code is of 64 bits and was made on Linux.
# The first number says where ptxas's options stand; the second says that there are none.
_OPTIONS = struct.pack("<QQ", _ENTRY + 8, 0)


def fatbin(cubin: bytes, ptx: bytes, arch: int) -> bytes:
    """The fat binary of machine code and PTX. cubin: an ELF file; ptx: text, empty for none. arch: e.g. 80."""
    version = re.search(rb"\.version (\d+)\.(\d+)", ptx)
    assert cubin[:4] == b"\x7fELF" and (version is not None or not ptx)
    entries = _entry(_ELF, cubin, (cubin[8], 1), arch)
    if version is not None:
        entries += _entry(_PTX, ptx.rstrip(b"\0") + b"\0", (int(version[2]), int(version[1])), arch, _OPTIONS)
    return struct.pack("<IHHQ", _MAGIC, 1, _HEADER, len(entries)) + entries


def _entry(kind: int, image: bytes, version: tuple[int, int], arch: int, options: bytes = b"") -> bytes:
    """One entry of a fat binary. version: (minor, major). options: what stands behind the entry's header."""
    padded = image + bytes(-len(image) % 8)
    place = _ENTRY if options else 0
    return (
        struct.pack(
            "<HHIQIIHHIIIQQQ",
            kind,
            0x101,
            _ENTRY + len(options),
            len(padded),
            0,
            place,
            *version,
            arch,
            0,
            0,
            _FLAGS,
            0,
            0,
        )
        + options
        + padded
    )
