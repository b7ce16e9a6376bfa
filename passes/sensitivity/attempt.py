"""What a search tried, and what those who try are given to measure with."""

from collections.abc import Callable
from dataclasses import dataclass

from .design import Design
from .output_error import sqnr

LEFT_OUT = "left out, there is no time for it (--budget)"


@dataclass(frozen=True)
class Attempt:
    """One thing that was tried. name: for people. error: 1 / SQNR on held-out samples; drop: on validation data, None
    if not measured; compiled: whether the drop is of the compiled module. kept: whether the design went on with it.
    design: what was measured. slower: the most times the time of the design before that this one is worth, where it
    costs time."""

    name: str
    error: float | None
    drop: float | None
    kept: bool
    design: Design
    compiled: bool = False
    slower: float | None = None

    @property
    def sqnr(self) -> float | None:
        """The ratio of signal to quantisation noise in dB; None where the error was not measured."""
        return None if self.error is None else sqnr(self.error)


ErrorOf = Callable[[Design], float]  # Measures 1 / SQNR of a design.
SecondsOf = Callable[[Design], float]  # Estimates the seconds of one run.
Log = Callable[[Attempt], None]  # A log is told of everything that is tried.
