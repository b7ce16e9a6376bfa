"""Whether a shared object is as long as its own headers say. The loader maps what they declare: behind the end of a file there are pages, but reading one kills the process."""

import platform
import struct

_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")  # of a 64-bit file; the ELF specification's Elf64_Ehdr, Elf64_Phdr and Elf64_Shdr
_PROGRAM = struct.Struct("<IIQQQQQQ")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_IDENTITY = b"\x7fELF\x02\x01\x01"  # 64-bit, little endian, version 1
_SHARED_OBJECT = 3
_MACHINES = {"x86_64": 62, "aarch64": 183}
_LOADED, _NO_BITS = 1, 8  # a segment that is mapped; a section without bytes in the file


def check_library(image: bytes) -> None:
    """Raises ValueError for what is no whole shared object for this machine."""
    if len(image) < _HEADER.size:
        raise ValueError("is shorter than a header")
    identity, kind, machine, _, _, program_at, section_at, _, _, program_size, programs, section_size, sections, _ = _HEADER.unpack_from(image)
    if not identity.startswith(_IDENTITY) or (kind, machine) != (_SHARED_OBJECT, _MACHINES.get(platform.machine())):
        raise ValueError(f"is no shared object of {platform.machine()}")
    if (programs and program_size != _PROGRAM.size) or (sections and section_size != _SECTION.size):
        raise ValueError("has headers of another size")
    mapped = 0
    for entry in _entries(image, _PROGRAM, program_at, programs, "segments"):
        segment, _, offset, _, _, in_file, in_memory, _ = entry
        _inside(image, offset, in_file, "a segment")
        if segment == _LOADED:
            mapped += 1
            if in_file > in_memory:
                raise ValueError("has a segment that is larger in the file than in memory")
    for entry in _entries(image, _SECTION, section_at, sections, "sections"):
        if entry[1] != _NO_BITS:
            _inside(image, entry[4], entry[5], "a section")
    if not mapped:
        raise ValueError("has no segment to load")


def _entries(image, form, at, count, what):
    _inside(image, at, count * form.size, f"the table of {what}")
    return [form.unpack_from(image, at + i * form.size) for i in range(count)]


def _inside(image, at, size, what):
    if at + size > len(image):
        raise ValueError(f"is truncated: {what} ends at {at + size} of {len(image)} bytes")
