"""How much of whatever a file declares is believed: one table, which `--limit NAME=VALUE` and OCTET_LIMITS change.

A declared size costs nothing to write down. It is compared with these before anything is read or decompressed."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from types import MappingProxyType

from ..errors import OctetError

VARIABLE = "OCTET_LIMITS"
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_GIVEN = re.compile(r"([a-z]+)=([0-9]{1,12})([KMGT]?)")


@dataclass(frozen=True)
class Limit:
    """A limit of what files may declare. value: unless the user says otherwise. of: what is counted, in words."""

    value: int
    of: str


LIMITS = {
    "weight": Limit(16 << 30, "bytes of one weight, or elements of one intermediate result, of a network"),
    "input": Limit(2 << 30, "bytes of one input or output of a network"),
    "nodes": Limit(100_000, "nodes of a network"),
    "package": Limit(16 << 30, "bytes of a package"),
    "unpacked": Limit(
        16 << 30,
        "bytes of the compressed or Fortran-ordered arrays of an .npz of samples, written to the temporary folder",
    ),
    "labels": Limit(1 << 30, "bytes of the labels, which are held in memory"),
}
# A command's options give limits of their own.
_given: ContextVar[Mapping[str, int]] = ContextVar("limits", default=MappingProxyType({}))


def limit(name: str) -> int:
    """The limit that holds now: an option's, else the environment's, else the table's. Raises OctetError for an
    OCTET_LIMITS that cannot be read."""
    given = _given.get()
    if name in given:
        return given[name]
    return parse_limits(filter(None, os.environ.get(VARIABLE, "").split(",")), VARIABLE).get(name, LIMITS[name].value)


def parse_limits(texts: Iterable[str], where: str = "--limit") -> dict[str, int]:
    """{name: value} of texts like "labels=8G". Raises OctetError."""
    found = {}
    for text in texts:
        match = _GIVEN.fullmatch(text.strip())
        if match is None or match[1] not in LIMITS:
            raise OctetError(
                f"{where} {text}: is no limit; write NAME=VALUE, e.g. labels=8G, with a name of {', '.join(LIMITS)}"
            )
        found[match[1]] = int(match[2]) * _UNITS[match[3]]
    return found


@contextmanager
def with_limits(values: dict[str, int]) -> Iterator[None]:
    """These limits hold until the end of the block, for what this thread reads in it."""
    token = _given.set({**_given.get(), **values})
    try:
        yield
    finally:
        _given.reset(token)


def more(name: str) -> str:
    """The remedy that an error about this limit names."""
    return f"allow more with --limit {name}=VALUE if it is meant"
