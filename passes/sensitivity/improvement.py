"""What a search tries before it leaves layers in float. Which comes next is a matter of what it may gain per second:
what it brings on ordinary networks is known roughly, what it takes is measured as the search goes on. None of them
costs anything at run time."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from .choices.choose_calibration import OTHERS, TENSORS
from .choices.ranges import CALIBRATIONS
from .design import SCALINGS, Design


@dataclass
class Pace:
    """Seconds that the last measurement of an error took, and the last one that had to build a network or to learn
    first. few: the part of the held-out samples that a rough error runs."""

    error: float = 0.0
    build: float = 0.0
    few: float = 1.0


@dataclass(frozen=True)
class Improvement:
    """A kind of change that may bring int8 nearer to fp32.

    gain: dB that it brings on ordinary networks (docs/accuracy.md). seconds(pace): what it takes.
    candidates(design): with their names for people, of which the best is taken; None for calibrators tensor by tensor.
    builds: whether each candidate builds a network. learns: whether it learns from the ranges, so that others
    afterwards learn it anew. worth: part of the squared error that it must not exceed."""

    name: str
    gain: float
    seconds: Callable[[Pace], float]
    candidates: Callable[[Design], list[tuple[str, Design]]] | None
    builds: bool = True
    learns: bool = False
    worth: float = 0.97


def improvements(
    ranges: Callable[[Design], list[tuple[str, Design]]] | None, by_tensor: bool, repair: bool, rescalable: bool
) -> list[Improvement]:
    """The improvements that may be tried. ranges(design): others that it may have. by_tensor: whether single tensors
    may get a calibrator of their own. rescalable: whether there are channels that can absorb a factor."""
    found = [] if ranges is None else [Improvement("ranges", 0.5, _ranges_take, ranges, builds=False, worth=1.0)]
    found += [_BY_TENSOR] if by_tensor else []
    return found + ([_SCALING] if repair and rescalable else []) + ([_BIASES, _ROUNDING] if repair else [])


def next_of(left: list[Improvement], pace: Pace) -> Improvement:
    """The one with the largest gain per second, what learns from the ranges behind what changes them; the first of
    equal ones."""
    return max(left, key=lambda one: (not one.learns, one.gain / max(one.seconds(pace), 1e-6)))


def _ranges_take(pace: Pace) -> float:
    return (len(CALIBRATIONS) + 1) * pace.error


def _scalings(design: Design) -> list[tuple[str, Design]]:
    return [
        (f"rescaled channels ({scaling})", replace(design, scaling=scaling))
        for scaling in SCALINGS
        if scaling and scaling != design.scaling
    ]


_BY_TENSOR = Improvement(
    "calibrators by tensor", 0.5, lambda pace: TENSORS * len(OTHERS) * pace.error * pace.few, None, builds=False
)
_SCALING = Improvement(
    "rescaled channels", 3.0, lambda pace: (len(SCALINGS) - 1) * (pace.build + pace.error), _scalings
)
_BIASES = Improvement(
    "corrected biases",
    0.3,
    lambda pace: 2 * pace.build + pace.error,
    lambda design: [("corrected biases", replace(design, biases=True))],
    learns=True,
)
_ROUNDING = Improvement(
    "learnt rounding",
    0.5,
    lambda pace: 4 * pace.build + pace.error,
    lambda design: [("learnt rounding", replace(design, rounding=True))],
    learns=True,
)
