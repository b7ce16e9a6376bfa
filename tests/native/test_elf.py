"""Libraries whose headers lie are refused before the loader believes them; what is not refused runs as it did."""

import os
import signal
import struct

import numpy as np
import pytest

from octet.targets.errors import OctetError
from octet.targets.native.elf import dynamic_table
from octet.targets.native.elf.check import check_library
from octet.targets.native.elf.shared_object import DYNAMIC, EXECUTE, LOAD, READ, RELRO, STACK, WRITE, layout_of
from octet.targets.opening import open_session

PROGRAM = 56  # An entry has so many bytes.
KIND, FLAGS, OFFSET, ADDRESS, IN_FILE, IN_MEMORY, ALIGNMENT = (
    (0, "<I"),
    (4, "<I"),
    (8, "<Q"),
    (16, "<Q"),
    (32, "<Q"),
    (40, "<Q"),
    (48, "<Q"),
)


def program(image, kind, field, value, flags=None):
    """The library with a field of its first segment of a kind (and access) changed."""
    start, count = struct.unpack_from("<Q", image, 32)[0], struct.unpack_from("<H", image, 56)[0]
    for at in range(start, start + count * PROGRAM, PROGRAM):
        if struct.unpack_from("<II", image, at) == (
            kind,
            flags if flags is not None else struct.unpack_from("<I", image, at + 4)[0],
        ):
            return written(image, at + field[0], field[1], value)
    raise AssertionError("no such segment")


def entry(image, tag, value, as_tag=None):
    """The library with the first dynamic entry of a tag changed."""
    segment = layout_of(image).only(DYNAMIC, "")
    for at in range(segment.offset, segment.offset + segment.in_file, 16):
        if struct.unpack_from("<Q", image, at)[0] == tag:
            return written(
                image, at, "<QQ", as_tag or tag, struct.unpack_from("<Q", image, at + 8)[0] if value is None else value
            )
    raise AssertionError("no such entry")


def table(image, kind, at, form, value):
    """The library with a word of a section of a kind changed."""
    section = next(section for section in layout_of(image).sections if section.kind == kind and section.allocated)
    return written(image, section.offset + at, form, value)


def written(image, at, form, *values):
    made = bytearray(image)
    struct.pack_into(form, made, at, *values)
    return bytes(made)


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda image: program(image, LOAD, FLAGS, READ, READ | WRITE), "cannot be written"),
        (lambda image: program(image, LOAD, FLAGS, 0, READ | EXECUTE), "access 0x0"),
        (lambda image: program(image, LOAD, FLAGS, READ, READ | EXECUTE), "cannot be executed"),
        (lambda image: program(image, LOAD, FLAGS, 7, READ | WRITE), "access 0x7"),
        (lambda image: program(image, LOAD, KIND, 0, READ | WRITE), "unknown kind 0x0"),
        (lambda image: program(image, LOAD, IN_MEMORY, 1 << 60, READ | WRITE), "in memory"),
        (lambda image: program(image, LOAD, ALIGNMENT, 3), "not aligned"),
        (
            lambda image: program(image, LOAD, ADDRESS, layout_of(image).loads[-1].address % 4096, READ | WRITE),
            "follows one",
        ),
        (lambda image: program(image, DYNAMIC, KIND, 0x60000001), "unknown kind"),
        (lambda image: program(image, DYNAMIC, KIND, 4), "dynamic tables"),
        (lambda image: program(image, DYNAMIC, ADDRESS, 1 << 40), "outside of what is mapped"),
        (lambda image: program(image, DYNAMIC, IN_FILE, 16), "in the file and"),
        (lambda image: program(image, STACK, KIND, 4), "entries for the stack|outside"),
        (lambda image: program(image, STACK, FLAGS, 7), "stack that can be executed"),
        (lambda image: program(image, RELRO, IN_MEMORY, 1 << 16), "read-only part"),
        (lambda image: program(image, RELRO, ADDRESS, 0), "place in the file"),
        (lambda image: entry(image, dynamic_table.INIT, 0x10), "cannot be executed"),
        (lambda image: entry(image, dynamic_table.INIT, layout_of(image).loads[1].address + 1), "no section starts"),
        (lambda image: entry(image, dynamic_table.INIT_LIST, 1 << 40), "no section of its kind"),
        (lambda image: entry(image, dynamic_table.INIT_LIST_SIZE, 1 << 12), "no section of its kind"),
        (lambda image: entry(image, dynamic_table.GNU_HASH, 0x40), "no section of its kind"),
        (lambda image: entry(image, dynamic_table.GNU_HASH, None, as_tag=dynamic_table.HASH), "no section of its kind"),
        (lambda image: entry(image, dynamic_table.STRINGS, 1 << 33), "no section of its kind"),
        (lambda image: entry(image, dynamic_table.STRINGS_SIZE, 1 << 33), "no section of its kind"),
        (lambda image: entry(image, dynamic_table.SYMBOLS, 1), "no section of its kind"),
        (lambda image: entry(image, dynamic_table.SYMBOL_SIZE, 16), "where 24 belongs"),
        (lambda image: entry(image, dynamic_table.RELOCATIONS_SIZE, 24), "no section of its kind"),
        (
            lambda image: entry(image, dynamic_table.RELOCATIONS, None, as_tag=dynamic_table.DEBUG),
            "a part of the dynamic entries",
        ),
        (lambda image: entry(image, dynamic_table.RELATIVE_COUNT, 1 << 20), "of another kind"),
        (lambda image: entry(image, dynamic_table.WANTED_COUNT, 1 << 60), "another number of versions"),
        (lambda image: entry(image, dynamic_table.NEEDED, 1 << 20), "outside of its names"),
        (lambda image: entry(image, dynamic_table.NEEDED, None, as_tag=0x7FFFFFFD), "unknown dynamic entry"),
        (lambda image: table(image, 4, 0, "<Q", 0x40), "cannot be written"),
        (lambda image: table(image, 4, 0, "<Q", (1 << 64) - 8), "cannot be written"),
        (lambda image: table(image, 4, 8, "<I", 37), "unknown kind|of another kind"),
        (lambda image: table(image, 4, 16, "<q", 1 << 40), "not mapped"),
        (lambda image: table(image, 11, 24, "<I", 1 << 20), "outside of its names"),
        (lambda image: table(image, 0x6FFFFFF6, 0, "<I", 0), "hash table"),
        (lambda image: table(image, 0x6FFFFFF6, 0, "<I", 1 << 30), "hash table"),
        (lambda image: table(image, 0x6FFFFFFF, 2, "<H", 77), "version that is not there"),
        (lambda image: written(image, 60, "<H", 0), "no dynamic section"),
        (lambda image: written(image, 20, "<I", 2), "no shared object"),
    ],
)
def test_headers_that_lie(toy_variant, change, said):
    check_library(toy_variant.library)
    with pytest.raises(ValueError, match=said):
        check_library(change(toy_variant.library))


@pytest.mark.parametrize("part", ["header", "segments", "dynamic"])
def test_a_flipped_byte_is_refused_or_harmless(toy_variant, part):
    """Every byte that the loader goes by; those that the check lets through are loaded, a few of them, by children."""
    image = toy_variant.library
    segment = layout_of(image).only(DYNAMIC, "")
    start, count = {
        "header": (0, 64),
        "segments": (64, PROGRAM * image[56]),
        "dynamic": (segment.offset, segment.in_file),
    }[part]
    passed, refused = [], 0
    for at in range(start, start + count):
        made = bytearray(image)
        made[at] ^= 0xFF
        try:
            check_library(bytes(made))
            passed.append(bytes(made))
        except ValueError:
            refused += 1
    assert refused > count // 3
    for made in passed[:: max(1, len(passed) // 8)]:
        assert ended(toy_variant, made) in (0, 1)


def ended(variant, library) -> int:
    """A child's exit status: 0 where the library answers as it did, 1 where it was refused; -1 where a signal ended
    it."""
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        try:
            with open_session(type(variant)(**vars(variant) | {"library": library}), threads=1) as session:
                (y,) = session.run({"x": np.ones((4, 16), np.float32)}).values()
            os._exit(0 if (y == 2 + np.arange(16, dtype=np.float32)).all() else 2)
        except OctetError:
            os._exit(1)
        finally:
            os._exit(3)
    status = os.waitpid(child, 0)[1]
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else -1
