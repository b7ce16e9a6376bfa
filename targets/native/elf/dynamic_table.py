"""The dynamic table: where the loader finds everything else.

Every table that it names is a section as well, from its first byte to its last."""

import struct

from .shared_object import DYNAMIC, EXECUTE, SharedObject

_ENTRY = struct.Struct("<qQ")
# The ELF specification and GNU's and LLVM's linkers name and number these entries.
NEEDED, PLT_SIZE, PLT_PLACE, HASH, STRINGS, SYMBOLS, RELOCATIONS = range(1, 8)
RELOCATIONS_SIZE, RELOCATION_SIZE, STRINGS_SIZE, SYMBOL_SIZE, INIT, FINI, NAME = range(8, 15)
_SEARCHED, _SYMBOLIC, PLT_KIND, DEBUG, PLT, _NOW = 15, 16, 20, 21, 23, 24
INIT_LIST, FINI_LIST, INIT_LIST_SIZE, FINI_LIST_SIZE, _PATHS, _FLAGS = range(25, 31)
PACKED_SIZE, PACKED, PACKED_ENTRY = range(35, 38)
GNU_HASH, VERSIONS, RELATIVE_COUNT, _FLAGS_1 = 0x6FFFFEF5, 0x6FFFFFF0, 0x6FFFFFF9, 0x6FFFFFFB
DEFINED, DEFINED_COUNT, WANTED, WANTED_COUNT = range(0x6FFFFFFC, 0x70000000)
# Entries of lazy binding, which is off, and about branches change nothing here.
_UNREAD = {0x6FFFFEF6, 0x6FFFFEF7, *range(0x70000000, 0x70000006)}
_NAMES = (NEEDED, NAME, _SEARCHED, _PATHS)
_SINGLE = {PLT_PLACE, INIT, FINI, _SYMBOLIC, DEBUG, _NOW, _FLAGS, _FLAGS_1, RELATIVE_COUNT}
# The values of these entries name the first byte of a section.
_STARTS = {
    INIT: "a function that the loader calls",
    FINI: "a function that the loader calls",
    PLT_PLACE: "a table of functions",
}
_IN_TEXT = 4  # The flag says that the loader writes to code.
# Every table has the kind of its section, the entry with its bytes, the entry that describes one of its entries, and
# what that says.
TABLES = {
    STRINGS: (3, STRINGS_SIZE, None, 0),
    SYMBOLS: (11, None, SYMBOL_SIZE, 24),
    HASH: (5, None, None, 0),
    GNU_HASH: (0x6FFFFFF6, None, None, 0),
    RELOCATIONS: (4, RELOCATIONS_SIZE, RELOCATION_SIZE, 24),
    PLT: (4, PLT_SIZE, PLT_KIND, RELOCATIONS),
    PACKED: (19, PACKED_SIZE, PACKED_ENTRY, 8),
    INIT_LIST: (14, INIT_LIST_SIZE, None, 0),
    FINI_LIST: (15, FINI_LIST_SIZE, None, 0),
    VERSIONS: (0x6FFFFFFF, None, None, 0),
    WANTED: (0x6FFFFFFE, None, WANTED_COUNT, None),
    DEFINED: (0x6FFFFFFD, None, DEFINED_COUNT, None),
}
_KNOWN = {*_NAMES, *_SINGLE, *_UNREAD, *TABLES, *(entry for _, *entries, _ in TABLES.values() for entry in entries)}


def read_dynamic(layout: SharedObject) -> tuple[dict[int, int], dict[int, tuple[int, int]], list[tuple[int, int]]]:
    """(entry -> its value, table -> (its address, its bytes), (entry, place of a name in the strings)). Raises
    ValueError for a table that does not fit the sections."""
    segment = layout.only(DYNAMIC, "dynamic tables")
    data = layout.bytes_at(segment.address, segment.in_file, "the dynamic table")
    entries: dict[int, int] = {}
    names, ended = [], False
    for tag, value in _ENTRY.iter_unpack(data[: len(data) // _ENTRY.size * _ENTRY.size]):
        if ended := tag == 0:
            break
        if tag not in _KNOWN:
            raise ValueError(f"has an unknown dynamic entry {tag:#x}")
        if tag in _NAMES:
            names.append((tag, value))
        elif entries.setdefault(tag, value) != value:
            raise ValueError(f"has dynamic entry {tag:#x} twice")
    if not ended:
        raise ValueError("has a dynamic table without an end")
    if entries.get(_FLAGS, 0) & _IN_TEXT:
        raise ValueError("wants its code written to when it is loaded")
    tables = {tag: table for tag in TABLES if (table := _table(layout, entries, tag))}
    _check_complete(layout, tables)
    for tag in {INIT, FINI} & entries.keys():
        layout.holds(entries[tag], 1, EXECUTE, _STARTS[tag])
    starts = {section.address for section in layout.allocated}
    for tag, what in _STARTS.items():
        if tag in entries and entries[tag] not in starts:
            raise ValueError(f"has {what} at {entries[tag]:#x}, where no section starts")
    return entries, tables, names


def _table(layout: SharedObject, entries: dict[int, int], tag: int) -> tuple[int, int] | None:
    kind, size, more, wanted = TABLES[tag]
    belonging = [entry for entry in (tag, size, more) if entry is not None]
    if not any(entry in entries for entry in belonging):
        return None
    if not all(entry in entries for entry in belonging):
        raise ValueError(
            f"has a part of the dynamic entries of a table ({', '.join(f'{entry:#x}' for entry in belonging)})"
        )
    if wanted is not None and more is not None and entries[more] != wanted:
        raise ValueError(f"has {entries[more]} in dynamic entry {more:#x}, where {wanted} belongs")
    address = entries[tag]
    sections = {section.address: section for section in layout.allocated if section.kind == kind and section.size}
    end = address
    while end in sections and (size is None or end < address + entries[size]):
        end = sections[end].end
        if size is None:
            break
    if end == address or (size is not None and end != address + entries[size]):
        raise ValueError(f"has a table at {address:#x} (dynamic entry {tag:#x}) that is no section of its kind")
    return address, end - address


def _check_complete(layout: SharedObject, tables: dict[int, tuple[int, int]]) -> None:
    if STRINGS not in tables or SYMBOLS not in tables or (HASH not in tables and GNU_HASH not in tables):
        raise ValueError("has no table of symbols")
    kinds: dict[int, list[tuple[int, int]]] = {kind: [] for kind, *_ in TABLES.values()}
    for tag, table in tables.items():
        kinds[TABLES[tag][0]].append(table)
    for section in layout.allocated:
        if (
            section.size
            and section.kind in kinds
            and not any(at <= section.address and section.end <= at + size for at, size in kinds[section.kind])
        ):
            raise ValueError(f"has a table at {section.address:#x} that the loader is not told of")
