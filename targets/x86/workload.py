"""What a kernel is tuned for: the structure of its problem (structures.py), its name and its key."""

from dataclasses import asdict, dataclass, fields, is_dataclass
from math import isinf
from types import UnionType
from typing import Any, Protocol, get_args, get_type_hints

from ..schema import checked
from ..seams import JsonObject
from ..workload_key import Keyed, with_infinities
from .conv.problem import ConvProblem
from .structures import KINDS, kind_of

_UNTAGGED = "conv"  # An entry that does not say its kind has this one.
# Records of earlier versions lack these switches, which are left out where they are off, so that keys stay.
_LATER = ("peak",)


class Problem(Protocol):
    """A frozen dataclass of numbers, strings, tuples and other such dataclasses."""

    @property
    def name(self) -> str:
        """The kernel's name, a part of its symbol: equal for problems that differ in numbers only."""

    @property
    def dtype(self) -> str:
        """The dtype of what the kernel multiplies or moves: "int8" or "float32"."""

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of one run, 0 for what only moves or maps values."""


@dataclass(frozen=True)
class Workload(Keyed):
    """A problem to tune, without the numbers that do not matter for its time. problem: a representative with fixed
    numbers, which is what is built and measured; make one with `workload_of`."""

    problem: Problem

    @property
    def name(self) -> str:
        """The workload's name for people."""
        return KINDS[kind_of(self.problem)].label(self.problem)

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of one run of the representative."""
        return self.problem.multiply_adds

    @property
    def dtype(self) -> str:
        """The dtype of what the problem's kernel multiplies or moves."""
        return self.problem.dtype

    @property
    def vectors(self) -> float:
        """Vectors of 16 lanes that are computed beside the multiply-adds."""
        return KINDS[kind_of(self.problem)].vectors(self.problem)

    @property
    def lanes(self) -> bool:
        """Whether a multiply-add takes a 32-bit lane, as there is no sum over channels for a dot product of bytes."""
        return isinstance(self.problem, ConvProblem) and self.problem.depthwise

    def as_dict(self) -> JsonObject:
        """JSON values; `from_dict` reads them back."""
        kind, problem = kind_of(self.problem), _plain(asdict(self.problem))  # type: ignore[call-overload] # a Problem is a dataclass
        return problem if kind == _UNTAGGED else {"kind": kind, "problem": problem}


def workload_of(problem: Problem) -> Workload:
    """The structure of a problem."""
    return Workload(KINDS[kind_of(problem)].structure(problem))


def from_dict(entry: JsonObject) -> Workload:
    """The workload that `as_dict` made JSON values of. Raises KeyError, TypeError or ValueError for an entry of another
    structure."""
    kind, problem = (entry["kind"], entry["problem"]) if "kind" in entry else (_UNTAGGED, entry)
    made, problem = KINDS[kind].problem, with_infinities(problem)
    checked(problem, made)  # A text may not stand where a number multiplies an extent.
    return Workload(_restored(made, problem))


def _plain(value: Any) -> Any:
    """JSON has no infinities and no tuples."""
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items() if key not in _LATER or entry}
    if isinstance(value, (tuple, list)):
        return [_plain(entry) for entry in value]
    return str(value) if isinstance(value, float) and isinf(value) else value


def _restored(kind: Any, values: JsonObject) -> Problem:
    """The dataclass whose `_plain` these values are."""
    if unknown := values.keys() - {field.name for field in fields(kind)}:
        raise TypeError(f"{kind.__name__} has no {', '.join(sorted(unknown))}")
    hints = get_type_hints(kind)
    return kind(**{key: _value(value, hints[key]) for key, value in values.items()})


def _value(value: Any, hint: Any) -> Any:
    if isinstance(value, dict):
        kind = next(
            (one for one in (get_args(hint) if isinstance(hint, UnionType) else (hint,)) if is_dataclass(one)), None
        )
        if kind is None:
            raise TypeError(f"{value} is no {hint}")
        return _restored(kind, value)
    if isinstance(value, list):
        return tuple(_value(entry, None) for entry in value)
    return value
