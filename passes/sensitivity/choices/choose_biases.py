"""Biases corrected without being asked for: it costs nothing at run time, and a few runs of the network before.

So it is tried only where int8 is far from fp32 on held-out samples, before all that is judged by the same errors."""

from collections.abc import Callable
from dataclasses import replace

from ..attempt import ErrorOf, Log
from ..design import Design
from ..rescaling import POOR
from .best_of import best_of

_WORTH = 0.8  # They must leave at most this part of the squared error, as all designs behind learn theirs, too.


def choose_biases(design: Design, error: ErrorOf, log: Log, *, spent: Callable[[], bool] = lambda: False) -> Design:
    """The design with corrected biases, where that is worth it. error(design): relative, squared. log(Attempt): what
    was tried. spent(): whether there is no time for it."""
    if design.biases or error(design) <= POOR:
        return design
    return best_of(design, [("corrected biases", replace(design, biases=True))], error, log, _WORTH, spent=spent)
