"""Channels rescaled between layers without being asked for: it costs nothing at run time and not one bit of fp32, so
only what the compiler must do for it counts.

So it is tried only where int8 is far from fp32 on held-out samples and there is something to rescale, weights alone
first (equalisation needs no data)."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from ..repair.find_streams import streams_of
from .attempt import ErrorOf, Log
from .choices.best_of import best_of
from .design import SCALINGS, Design

if TYPE_CHECKING:
    import tvm


POOR = 10**-2.5  # From this relative squared error (25 dB) on rescaling is tried.
_GOOD = 1e-3  # Once the error is below this (30 dB), no other scaling is tried.
_WEAKEST = "migrate-0.5"  # Where this migration makes the error larger, no stronger one is tried.
_WORTH = 0.5  # A scaling may leave at most this part of the squared error.


def rescalable(module: "tvm.IRModule") -> bool:
    """Whether a canonical fp32 network has channels between layers that can absorb a factor."""
    return bool(streams_of(module))


def choose_scaling(design: Design, error: ErrorOf, log: Log, *, spent: Callable[[], bool] = lambda: False) -> Design:
    """The design with the scaling of least error, where that is worth it. error(design): relative, squared.
    log(Attempt): what was tried. spent(): whether there is no time for another one."""
    if design.scaling or error(design) <= POOR:
        return design

    def candidates() -> Iterator[tuple[str, Design]]:
        for scaling in filter(None, SCALINGS):
            candidate = replace(design, scaling=scaling)
            yield f"rescaled channels ({scaling})", candidate
            if scaling == _WEAKEST and not spent() and error(candidate) > error(design):
                return

    return best_of(design, candidates(), error, log, _WORTH, good=_GOOD, spent=spent)
