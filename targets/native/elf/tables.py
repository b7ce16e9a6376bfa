"""Symbols, their hash table and versions, relocations: every index, name and address in them is one that is there."""

import numpy as np

from . import dynamic_table
from .shared_object import EXECUTE, READ, WRITE, SharedObject, text_at

_SYMBOL = np.dtype(
    [("name", "<u4"), ("info", "u1"), ("other", "u1"), ("section", "<u2"), ("value", "<u8"), ("size", "<u8")]
)
_RELOCATION = np.dtype([("place", "<u8"), ("kind", "<u4"), ("symbol", "<u4"), ("more", "<i8")])
_FUNCTION, _THREAD, _INDIRECT = 2, 6, 10  # ELF numbers the kinds of symbols so.
_ABSOLUTE = 0xFFF1
_STATIC_SYMBOLS = 2  # A section of this kind has all symbols, of which the loader knows some.
# Every machine has a relocation that adds where the library lies, and others that put a symbol's address or a thread's
# offset there.
_RELATIVE = {62: 8, 183: 1027}
_OTHERS = {62: {1, 6, 7, 16, 17, 18, 36}, 183: {257, 1025, 1026, 1028, 1029, 1030, 1031}}
_WIDE = {36, 1031}  # The descriptor of a thread's variable takes two words.


def check_tables(
    layout: SharedObject,
    machine: int,
    entries: dict[int, int],
    tables: dict[int, tuple[int, int]],
    names: list[tuple[int, int]],
) -> None:
    """The arguments behind the machine's number are what `read_dynamic` gave."""
    strings = layout.bytes_at(*tables[dynamic_table.STRINGS], "names")
    if not strings or strings[-1]:
        raise ValueError("has names without an end")
    symbols = np.frombuffer(layout.bytes_at(*tables[dynamic_table.SYMBOLS], "symbols"), _SYMBOL)
    if max([*(place for _, place in names), *symbols["name"].tolist()]) >= len(strings):
        raise ValueError("has a name outside of its names")
    _check_symbols(layout, symbols, strings)
    if dynamic_table.GNU_HASH in tables:
        _check_gnu_hash(layout, tables[dynamic_table.GNU_HASH], len(symbols))
    if dynamic_table.HASH in tables:
        _check_hash(layout, tables[dynamic_table.HASH], len(symbols))
    needed = {text_at(strings, place) for tag, place in names if tag == dynamic_table.NEEDED}
    _check_versions(layout, entries, tables, strings, needed, len(symbols))
    _check_relocations(layout, machine, entries, tables, symbols)


def _check_symbols(layout: SharedObject, symbols: np.ndarray, strings: bytes) -> None:
    kinds, defined = symbols["info"] & 15, (symbols["section"] != 0) & (symbols["section"] != _ABSOLUTE)
    if (kinds == _INDIRECT).any():
        raise ValueError("has a symbol whose address a function finds")
    if (defined & (symbols["section"] >= len(layout.sections))).any():
        raise ValueError("has a symbol of a section that is not there")
    known = _static_symbols(layout)
    for symbol in symbols[defined & (kinds != _THREAD)]:
        address, function = int(symbol["value"]), symbol["info"] & 15 == _FUNCTION
        layout.holds(address, 0 if not function else 1, EXECUTE if function else READ, "a symbol")
        if known is not None and (text_at(strings, symbol["name"]), address) not in known:
            raise ValueError(f"has a symbol at {address:#x} that its table of all symbols does not have")


def _static_symbols(layout: SharedObject) -> set[tuple[bytes, int]] | None:
    """{(name, address)} of the table of all symbols; None if it was taken out."""
    for section in layout.sections:
        if (
            section.kind == _STATIC_SYMBOLS
            and section.entry == _SYMBOL.itemsize
            and section.linked < len(layout.sections)
        ):
            names = layout.sections[section.linked]
            strings = layout.image[names.offset : names.offset + names.size]
            found = np.frombuffer(layout.image, _SYMBOL, section.size // _SYMBOL.itemsize, section.offset)
            return {
                (text_at(strings, at).split(b"@")[0], value)
                for at, value in zip(found["name"].tolist(), found["value"].tolist(), strict=True)
            }
    return None


def _check_gnu_hash(layout: SharedObject, table: tuple[int, int], count: int) -> None:
    words = np.frombuffer(layout.bytes_at(*table, "a hash table"), "<u4")
    if len(words) < 4:
        raise ValueError("has a hash table without a head")
    buckets, first, filters, shift = words[:4].tolist()
    if (
        not buckets
        or not filters
        or filters & (filters - 1)
        or shift > 31
        or first > count
        or len(words) != 4 + 2 * filters + buckets + count - first
    ):
        raise ValueError("has a hash table of another size than it says")
    heads, chain = words[4 + 2 * filters :][:buckets], words[4 + 2 * filters + buckets :]
    if (heads[heads != 0] < first).any() or (heads >= count).any() and heads.any():
        raise ValueError("has a hash table of symbols that are not there")
    if heads.any() and not chain[-1] & 1:
        raise ValueError("has a hash table without an end")


def _check_hash(layout: SharedObject, table: tuple[int, int], count: int) -> None:
    words = np.frombuffer(layout.bytes_at(*table, "a hash table"), "<u4")
    if (
        len(words) < 2
        or not words[0]
        or words[1] != count
        or len(words) != 2 + int(words[0]) + count
        or (words[2:] >= count).any()
    ):
        raise ValueError("has a hash table of another size than it says")
    seen = np.zeros(count, bool)
    for head in words[2 : 2 + words[0]].tolist():
        while head:  # A symbol is in one chain, once.
            if seen[head]:
                raise ValueError("has a hash table that leads back to itself")
            seen[head], head = True, int(words[2 + words[0] + head])


def _check_versions(
    layout: SharedObject,
    entries: dict[int, int],
    tables: dict[int, tuple[int, int]],
    strings: bytes,
    needed: set[bytes],
    count: int,
) -> None:
    if (dynamic_table.VERSIONS in tables) != (dynamic_table.WANTED in tables or dynamic_table.DEFINED in tables):
        raise ValueError("has versions of symbols without their names")
    if dynamic_table.VERSIONS not in tables:
        return
    known = {0, 1}
    for tag, number in (
        (dynamic_table.WANTED, dynamic_table.WANTED_COUNT),
        (dynamic_table.DEFINED, dynamic_table.DEFINED_COUNT),
    ):
        if tag in tables:
            found, files = _versions(
                layout.bytes_at(*tables[tag], "versions"), entries[number], tag == dynamic_table.WANTED, len(strings)
            )
            if not {text_at(strings, place) for place in files} <= needed:
                raise ValueError("has versions of a library that it does not load")
            known |= found
    given = np.frombuffer(layout.bytes_at(*tables[dynamic_table.VERSIONS], "versions"), "<u2")
    if len(given) != count or not known.issuperset((given & 0x7FFF).tolist()):
        raise ValueError("has a symbol of a version that is not there")


def _versions(data: bytes, number: int, wanted: bool, names: int) -> tuple[set[int], list[int]]:
    """(the numbers of the versions in a table, places of the names of the libraries that they are of). Its entries are
    chained by offsets."""

    def words(at: int, form: str) -> tuple[int, ...]:
        if at % 4 or at + np.dtype(form).itemsize > len(data):
            raise ValueError("has versions outside of their table")
        return np.frombuffer(data, form, 1, at)[0].tolist()

    found, files, at = set(), [], 0
    for i in range(number):
        if wanted:
            form, count, file, first, following = words(at, "<u2,<u2,<u4,<u4,<u4")
            files.append(file)
        else:
            form, _, index, count, _, first, following = words(at, "<u2,<u2,<u2,<u2,<u4,<u4,<u4")
            found.add(index)
        inner = at + first
        for j in range(count):
            if wanted:
                _, _, index, name, more = words(inner, "<u4,<u2,<u2,<u4,<u4")
                found.add(index)
            else:
                name, more = words(inner, "<u4,<u4")
            if form != 1 or name >= names or bool(more) != (j < count - 1):
                raise ValueError("has versions of another format")
            inner += more
        if bool(following) != (i < number - 1) or max(files, default=0) >= names:
            raise ValueError("has another number of versions than it says")
        at += following
    return found, files


def _check_relocations(
    layout: SharedObject, machine: int, entries: dict[int, int], tables: dict[int, tuple[int, int]], symbols: np.ndarray
) -> None:
    relative, others = _RELATIVE[machine], _OTHERS[machine]
    relocations = [
        np.frombuffer(layout.bytes_at(*tables[tag], "relocations"), _RELOCATION)
        for tag in (dynamic_table.RELOCATIONS, dynamic_table.PLT)
        if tag in tables
    ]
    if (count := entries.get(dynamic_table.RELATIVE_COUNT, 0)) and not (
        relocations and count <= len(relocations[0]) and (relocations[0]["kind"][:count] == relative).all()
    ):
        raise ValueError(f"says that its first {count} relocations are of another kind than they are")
    every = np.concatenate(relocations) if relocations else np.empty(0, _RELOCATION)
    if not set(every["kind"].tolist()) <= {relative, *others}:
        raise ValueError("has a relocation of unknown kind")
    if (every["symbol"] >= len(symbols)).any():
        raise ValueError("has a relocation to a symbol that is not there")
    places = every["place"]
    # `np.unique` would import masked arrays, which takes much of the time of loading.
    if (np.diff(np.sort(places)) == 0).any() or (places % 8).any():
        raise ValueError("has two relocations in one place")
    width = np.where(np.isin(every["kind"], list(_WIDE)), 16, 8).astype("<u8")
    inside = np.zeros(len(every), bool)
    for load in layout.loads:
        if load.flags & WRITE:
            inside |= (places >= load.address) & (places < load.end) & (load.end - places >= width)
    if not inside.all():
        raise ValueError("has a relocation where memory cannot be written")
    moved = every[every["kind"] == relative]
    starts, ends = np.array([[load.address, load.end] for load in layout.loads], np.int64).T
    if (
        not ((moved["more"][:, None] >= starts) & (moved["more"][:, None] <= ends)).any(1).all()
        or moved["symbol"].any()
    ):
        raise ValueError("has a relocation to what is not mapped")
    _check_lists(
        layout, tables, dict(zip(moved["place"].tolist(), moved["more"].tolist())), dynamic_table.PACKED in tables
    )


def _check_lists(layout: SharedObject, tables: dict[int, tuple[int, int]], moved: dict[int, int], packed: bool) -> None:
    """The functions that the loader calls by a list: every entry is relocated to code."""
    for tag in (dynamic_table.INIT_LIST, dynamic_table.FINI_LIST):
        if tag not in tables:
            continue
        address, size = tables[tag]
        values = np.frombuffer(
            layout.bytes_at(address, size // 8 * 8, "functions that the loader calls"), "<u8"
        ).tolist()
        for number, value in enumerate(values):
            target = moved.get(address + 8 * number, value if packed else None)
            if target is None:
                raise ValueError("has a function that the loader calls, and no address of it")
            layout.holds(target, 1, EXECUTE, "a function that the loader calls")
