"""What a search tries before it leaves layers in float. Which comes next is a matter of what it may gain per second:
what it brings on ordinary networks is known roughly, what it takes is measured as the search goes on. None of them
costs anything at run time."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from .design import SCALINGS, Design

CALIBRATIONS = (
    ("mse", 99.99),
    ("max", 99.99),
    ("percentile", 99.9),
    ("percentile", 99.99),
    ("percentile", 99.999),
    ("percentile", 99.9999),
    ("entropy", 99.99),
)
TENSORS, OTHERS = (
    24,
    (("max", 99.99), ("mse", 99.99), ("percentile", 99.99)),
)  # how many tensors get a calibrator of their own at most, and which they try


@dataclass
class Pace:
    """Seconds that the last measurement of an error took, and the last one that had to build a network first."""

    error: float = 0.0
    build: float = 0.0


@dataclass(frozen=True)
class Improvement:
    """gain: dB that it brings on ordinary networks (docs/accuracy.md). seconds(pace): what it takes.
    candidates(design): of which the best is taken; None for calibrators tensor by tensor. builds: whether each
    candidate builds a network. worth: part of the squared error that it must not exceed."""

    name: str
    gain: float
    seconds: Callable[[Pace], float]
    candidates: Callable[[Design], list[Design]] | None
    builds: bool = True
    worth: float = 0.97


def improvements(calibrate: bool, repair: bool, rescalable: bool) -> list[Improvement]:
    """Those that may be tried. rescalable: whether there are channels that can absorb a factor."""
    found = [_CALIBRATORS, _BY_TENSOR] if calibrate else []
    return found + ([_SCALING] if repair and rescalable else []) + ([_BIASES, _ROUNDING] if repair else [])


def next_of(left: list[Improvement], pace: Pace) -> Improvement:
    """The one with the largest gain per second; the first of equal ones."""
    return max(left, key=lambda one: one.gain / max(one.seconds(pace), 1e-6))


def calibrations(design: Design) -> list[Design]:
    """The design with every calibrator."""
    return [
        design.with_recipe(calibrator=name, percentile=percentile, per_tensor=()) for name, percentile in CALIBRATIONS
    ]


def _others(design: Design) -> list[Design]:
    return [candidate for candidate in calibrations(design) if candidate != design]


def _scalings(design: Design) -> list[Design]:
    return [replace(design, scaling=scaling) for scaling in SCALINGS if scaling and scaling != design.scaling]


_CALIBRATORS = Improvement(
    "calibrators", 0.5, lambda pace: (len(CALIBRATIONS) - 1) * pace.error, _others, builds=False, worth=1.0
)
_BY_TENSOR = Improvement(
    "calibrators by tensor", 0.5, lambda pace: TENSORS * len(OTHERS) * pace.error, None, builds=False
)
_SCALING = Improvement(
    "rescaled channels", 3.0, lambda pace: (len(SCALINGS) - 1) * (pace.build + pace.error), _scalings
)
_BIASES = Improvement(
    "corrected biases", 0.3, lambda pace: 2 * pace.build + pace.error, lambda design: [replace(design, biases=True)]
)
_ROUNDING = Improvement(
    "learnt rounding", 0.5, lambda pace: 4 * pace.build + pace.error, lambda design: [replace(design, rounding=True)]
)
