"""Whether segments can be mapped as they are described, and hold every section with the access that it needs."""

from typing import TYPE_CHECKING

from .shared_object import (
    DYNAMIC,
    EH_FRAME,
    EXECUTE,
    LOAD,
    NO_BITS,
    NOTE,
    PAGE,
    PROPERTY,
    READ,
    RELRO,
    STACK,
    TABLE,
    THREAD,
    THREAD_LOCAL,
    WRITE,
    Segment,
    SharedObject,
)

if TYPE_CHECKING:
    from .shared_object import Section

_KNOWN = {LOAD, DYNAMIC, NOTE, TABLE, THREAD, EH_FRAME, STACK, RELRO, PROPERTY}
_ONCE = (DYNAMIC, TABLE, THREAD, EH_FRAME, STACK, RELRO, PROPERTY)
_BEHIND = 1 << 30  # A segment may take this much memory, in bytes, behind what the file has of it.
_THREAD_BYTES = 1 << 20  # The bound is on the bytes of a thread's own variables.
# Dynamic tables are sections of the first kind; lists of functions that the loader calls are of the others.
_DYNAMIC_TABLE, _LISTS = 6, (14, 15, 16)
# The loader alone writes to these sections.
_LOADERS_OWN = (
    b".data.rel.ro",
    b".got",
    b".dynamic",
    b".relro_padding",
    b".tdata",
    b".tbss",
    b".jcr",
    b".ctors",
    b".dtors",
)


def check_segments(layout: SharedObject) -> None:
    """Raises ValueError for the first thing that does not fit."""
    if not layout.loads:
        raise ValueError("has no segment to load")
    end = 0
    for load in layout.loads:
        _check_load(load, end)
        end = load.end
    for kind in _ONCE:
        if sum(segment.kind == kind for segment in layout.others) > 1:
            raise ValueError(f"has two segments of kind {kind:#x}")
    for segment in layout.others:
        _check_other(layout, segment)
    if layout.only(STACK, "entries for the stack").flags & EXECUTE:
        raise ValueError("asks for a stack that can be executed")
    _check_sections(layout)
    _check_read_only(layout)


def _check_load(load: Segment, end: int) -> None:
    if load.in_file > load.in_memory:
        raise ValueError("has a segment that is larger in the file than in memory")
    if load.in_memory - load.in_file > _BEHIND:
        raise ValueError(f"has a segment of {load.in_memory} bytes in memory and {load.in_file} in the file")
    if load.flags not in (READ, READ | WRITE, READ | EXECUTE):
        raise ValueError(
            f"has a segment with access {load.flags:#x}, which is neither to be read, nor read and written, nor read "
            "and executed"
        )
    if load.alignment < PAGE or load.alignment & (load.alignment - 1) or (load.address - load.offset) % load.alignment:
        raise ValueError(f"has a segment at {load.address:#x} that is not aligned")
    if load.address // PAGE < -(-end // PAGE) or load.end > end + (1 << 40):
        raise ValueError(f"has a segment at {load.address:#x} that follows one to {end:#x}")


def _check_other(layout: SharedObject, segment: Segment) -> None:
    if segment.kind not in _KNOWN:
        raise ValueError(f"has a segment of unknown kind {segment.kind:#x}")
    if segment.kind == STACK:
        return
    if segment.kind == THREAD:
        if (
            segment.in_memory > _THREAD_BYTES
            or segment.in_file > segment.in_memory
            or segment.alignment > PAGE
            or segment.alignment & (segment.alignment - 1)
        ):
            raise ValueError(f"has {segment.in_memory} bytes of a thread's own variables")
        tables = [section for section in layout.sections if section.flags & THREAD_LOCAL]
        if (
            not tables
            or min(section.address for section in tables) != segment.address
            or max(section.end for section in tables) != segment.end
        ):
            raise ValueError("has a segment for a thread's own variables that is not the sections' for it")
    elif segment.kind != RELRO and segment.in_file != segment.in_memory:
        raise ValueError(
            f"has a segment of kind {segment.kind:#x} that is of {segment.in_file} bytes in the file and "
            f"{segment.in_memory} in memory"
        )
    load = layout.load_of(
        segment.address,
        0 if segment.kind == THREAD else min(segment.in_file, segment.in_memory),
        f"a segment of kind {segment.kind:#x}",
    )
    if segment.offset - load.offset != segment.address - load.address:
        raise ValueError(f"has a segment of kind {segment.kind:#x} whose place in the file is not that in memory")
    if segment.kind == DYNAMIC and (segment.address, segment.end) not in [
        (section.address, section.end) for section in layout.sections if section.kind == _DYNAMIC_TABLE
    ]:
        raise ValueError("has a dynamic segment that is no dynamic section")


def _check_sections(layout: SharedObject) -> None:
    if not layout.allocated:
        raise ValueError("has no table of sections")
    for section in layout.allocated:
        if not section.size:
            continue
        load = layout.holds(section.address, section.size, section.access, "a section")
        if section.kind == NO_BITS:
            if section.address < load.address + load.in_file:
                raise ValueError(f"has bytes of the file at {section.address:#x}, where memory is cleared")
        elif (
            section.offset - load.offset != section.address - load.address or section.end > load.address + load.in_file
        ):
            raise ValueError(f"has a section at {section.address:#x} whose place in the file is not that in memory")


def _check_read_only(layout: SharedObject) -> None:
    """What the loader makes read-only after it filled it in: its own tables, and nothing that code writes to."""
    for segment in layout.others:
        if segment.kind != RELRO or not segment.in_memory:
            continue
        end = -(-segment.end // PAGE) * PAGE
        load = layout.load_of(segment.address, 1, "a read-only part")
        if not load.flags & WRITE or end > -(-load.end // PAGE) * PAGE:
            raise ValueError(f"has a read-only part at {segment.address:#x}, outside of the data")
        # The loader protects whole pages, the last one only if the part ends with it.
        first, last = segment.address // PAGE * PAGE, segment.end // PAGE * PAGE
        for section in layout.allocated:
            if (
                section.access & WRITE
                and section.address < last
                and section.end > first
                and not _loaders(layout, section)
            ):
                raise ValueError(f"has a section at {section.address:#x} that is written to, in a read-only part")


def _loaders(layout: SharedObject, section: "Section") -> bool:
    return (
        section.kind in (*_LISTS, _DYNAMIC_TABLE)
        or bool(section.flags & THREAD_LOCAL)
        or layout.name_of(section).startswith(_LOADERS_OWN)
    )
