"""What a search has measured, on disk: one that was killed finds it again and goes on where it was."""

import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

from msgspec import Meta, Struct, to_builtins

from octet.targets.errors import OctetWarning
from octet.targets.reading.regular import read_regular
from octet.targets.schema import Count, Name, checked, json_text, parsed
from octet.targets.writing import write_atomically

from ...targets.seams import JsonObject

ALONE = "alone "  # Keys of measurements of one operator by itself begin so; all others are of single figures.
_LARGEST, _LONGEST_KEY = 256 << 20, 1 << 20  # A file takes at most so many bytes, a key so many characters.
_NotNegative = Annotated[float, Meta(ge=0)]


class _Alone(Struct, forbid_unknown_fields=True):
    """ranking.Ranked. An error of null is infinite: an output that is not finite."""

    name: Name
    op: Name
    error: _NotNegative | None
    lost: Annotated[float, Meta(ge=0, le=1)]
    macs: Count


class _State(Struct, forbid_unknown_fields=True):
    """What a journal's file holds. A figure of null is infinite."""

    identity: Annotated[str, Meta(max_length=256)]
    measurements: Annotated[
        dict[Annotated[str, Meta(max_length=_LONGEST_KEY)], float | _Alone | None], Meta(max_length=1 << 20)
    ]


T = TypeVar("T")


class Journal:
    """Measurements by key, on disk after every one.

    path: of the file, None keeps them in memory. identity: what the measurements belong to; a file of another identity
    is started anew, and a damaged one with a warning."""

    def __init__(self, path: Path | str | None = None, identity: str = "") -> None:
        self.path, self.identity = Path(path) if path is not None else None, identity
        self.found: JsonObject = {}
        if self.path is not None and self.path.exists():
            try:
                self.found = _read(self.path, identity)
            except (OSError, ValueError) as error:
                warnings.warn(
                    f"{self.path}: the state of an earlier search cannot be used ({error}); the search starts anew",
                    OctetWarning,
                    stacklevel=2,
                )
        self._old = frozenset(self.found)
        self._used: set[str] = set()

    def get(self, key: str, measure: Callable[[], T]) -> T:
        """The measurement of that key, made by measure() if it is new: a figure, or what _Alone holds as a dictionary
        where the key begins with ALONE."""
        if key in self.found:
            self._used.add(key)
            found: T = self.found[key]
            return found
        value = measure()
        self.found[key] = value
        if self.path is not None:
            write_atomically(self.path, json_text({"identity": self.identity, "measurements": self.found}).encode())
        return value

    @property
    def reused(self) -> int:
        """How many measurements of the file were asked for."""
        return len(self._old & self._used)

    def remove(self) -> None:
        """The search is done: nothing is left to resume."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)


def _read(path: Path, identity: str) -> JsonObject:
    """Raises OSError, or ValueError with the field, for what `get` did not write."""
    state = checked(parsed(read_regular(path, _LARGEST)), _State)
    if state.identity != identity:
        return {}
    for key, value in state.measurements.items():
        if isinstance(value, _Alone) != key.startswith(ALONE):
            raise ValueError(f"$.measurements: {key[:60]!a} is not of its kind")
    return {key: _figures(value) for key, value in state.measurements.items()}


def _figures(value: _Alone | float | None) -> float | dict[str, str | float]:
    if not isinstance(value, _Alone):
        return math.inf if value is None else value
    return to_builtins(value) | {"error": math.inf if value.error is None else value.error}
