"""The two views that a shared object has of itself: segments, which the loader maps, and sections, which the linker
wrote."""

import platform
import struct
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

# The structures are Elf64_Ehdr, Elf64_Phdr and Elf64_Shdr of the ELF specification.
_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_PROGRAM = struct.Struct("<IIQQQQQQ")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_IDENTITY = b"\x7fELF\x02\x01\x01"  # The file is of 64 bits, little endian and of version 1.
_SHARED_OBJECT = 3
MACHINES = {"x86_64": 62, "aarch64": 183}
LOAD, DYNAMIC, NOTE, TABLE, THREAD = 1, 2, 4, 6, 7  # ELF numbers the kinds of segments so.
EH_FRAME, STACK, RELRO, PROPERTY = range(0x6474E550, 0x6474E554)  # GNU numbers its kinds of segments from here on.
EXECUTE, WRITE, READ = 1, 2, 4  # ELF gives segments these flags.
NO_BITS = 8  # The kind is that of sections without bytes in the file.
_WRITE, ALLOCATED, _EXECUTE, THREAD_LOCAL = 1, 2, 4, 0x400  # ELF gives sections these flags.
PAGE = 4096


def text_at(strings: bytes, at: int) -> bytes:
    """The name that begins at that byte of the strings."""
    return strings[at : strings.find(b"\0", at)]


class Segment(NamedTuple):
    """An entry of the program header table (ELF-64)."""

    kind: int
    flags: int
    offset: int
    address: int
    physical: int
    in_file: int
    in_memory: int
    alignment: int

    @property
    def end(self) -> int:
        """The address behind the section."""
        return self.address + self.in_memory


class Section(NamedTuple):
    """An entry of the section header table (ELF-64)."""

    name: int
    kind: int
    flags: int
    address: int
    offset: int
    size: int
    linked: int
    info: int
    alignment: int
    entry: int

    @property
    def end(self) -> int:
        """The address behind its last byte."""
        return self.address + self.size

    @property
    def allocated(self) -> bool:
        """Whether it lies in memory; a thread's own variables without values lie elsewhere."""
        return bool(self.flags & ALLOCATED) and not (self.kind == NO_BITS and self.flags & THREAD_LOCAL)

    @property
    def access(self) -> int:
        """Flags that its segment has to have."""
        return READ | (WRITE if self.flags & _WRITE else 0) | (EXECUTE if self.flags & _EXECUTE else 0)


@dataclass(frozen=True)
class SharedObject:
    """A shared object whose tables lie in the file. image: its bytes. loads: the segments that are mapped, by address.
    others: the other ones.
    names: of sections, "" if the file has none."""

    image: bytes
    machine: str
    loads: tuple[Segment, ...]
    others: tuple[Segment, ...]
    sections: tuple[Section, ...]
    names: bytes

    @cached_property
    def allocated(self) -> tuple[Section, ...]:
        """The sections that lie in memory."""
        return tuple(section for section in self.sections if section.allocated)

    def name_of(self, section: Section) -> bytes:
        """The section's name, b"" in a file without names."""
        return text_at(self.names, section.name) if section.name < len(self.names) else b""

    def load_of(self, address: int, size: int, what: str) -> Segment:
        """The mapped segment that holds these bytes. Raises ValueError where none does."""
        for load in self.loads:
            if load.address <= address and address + size <= load.end:
                return load
        raise ValueError(f"has {what} at {address:#x}, outside of what is mapped")

    def holds(self, address: int, size: int, access: int, what: str) -> Segment:
        """The mapped segment that holds these bytes. Raises ValueError unless it is mapped with that access."""
        load = self.load_of(address, size, what)
        if access & ~load.flags:
            raise ValueError(
                f"has {what} at {address:#x}, where memory cannot be {'written' if access & WRITE else 'executed'}"
            )
        return load

    def bytes_at(self, address: int, size: int, what: str) -> bytes:
        """What the file has for these addresses."""
        load = self.load_of(address, size, what)
        if address + size > load.address + load.in_file:
            raise ValueError(f"has {what} at {address:#x}, where the file has no bytes")
        at = address - load.address + load.offset
        return self.image[at : at + size]

    def only(self, kind: int, what: str) -> Segment:
        """The segment of a kind that is there once."""
        found = [segment for segment in self.others if segment.kind == kind]
        if len(found) != 1:
            raise ValueError(f"has {len(found)} {what} where one belongs")
        return found[0]


def layout_of(image: bytes, machine: str = platform.machine()) -> SharedObject:
    """The segments and sections of a shared object. Raises ValueError for what is no whole shared object for a
    machine."""
    if len(image) < _HEADER.size:
        raise ValueError("is shorter than a header")
    (
        identity,
        kind,
        number,
        version,
        _,
        program_at,
        section_at,
        _,
        _,
        program_size,
        programs,
        section_size,
        sections,
        names,
    ) = _HEADER.unpack_from(image)
    if not identity.startswith(_IDENTITY) or (kind, number, version) != (_SHARED_OBJECT, MACHINES.get(machine), 1):
        raise ValueError(f"is no shared object of {machine}")
    if (programs and program_size != _PROGRAM.size) or (sections and section_size != _SECTION.size):
        raise ValueError("has headers of another size")
    segments = [Segment(*entry) for entry in _entries(image, _PROGRAM, program_at, programs, "segments")]
    for segment in segments:
        _inside(image, segment.offset, segment.in_file, "a segment")
    headers = [Section(*entry) for entry in _entries(image, _SECTION, section_at, sections, "sections")]
    for section in headers:
        if section.kind != NO_BITS:
            _inside(image, section.offset, section.size, "a section")
    loads = tuple(segment for segment in segments if segment.kind == LOAD)
    others = tuple(segment for segment in segments if segment.kind != LOAD)
    strings = image[headers[names].offset :][: headers[names].size] if names < len(headers) else b""
    return SharedObject(image, machine, loads, others, tuple(headers), strings)


def _entries(image: bytes, form: struct.Struct, at: int, count: int, what: str) -> list[tuple[int, ...]]:
    _inside(image, at, count * form.size, f"the table of {what}")
    return [form.unpack_from(image, at + i * form.size) for i in range(count)]


def _inside(image: bytes, at: int, size: int, what: str) -> None:
    if at + size > len(image):
        raise ValueError(f"is truncated: {what} ends at {at + size} of {len(image)} bytes")
