"""Channels rescaled between layers without being asked for: it costs nothing at run time and not one bit of fp32, so
only what the compiler must do for it counts.

So it is tried only where int8 is far from fp32 on held-out samples and there is something to rescale, weights alone
first (equalisation needs no data)."""

from collections.abc import Callable
from dataclasses import replace

from ..repair.find_streams import streams_of
from .attempt import LEFT_OUT, Attempt
from .design import SCALINGS, Design

POOR = 10**-2.5  # relative squared error (25 dB) from which on it is tried
_GOOD = 1e-3  # 30 dB: no other scaling is tried then
_WORTH = 0.5  # part of the squared error that it may leave at most


def rescalable(module) -> bool:
    """Whether a canonical fp32 network has channels between layers that can absorb a factor."""
    return bool(streams_of(module))


def choose_scaling(design: Design, error: Callable, log: Callable, *, spent: Callable = lambda: False) -> Design:
    """The design with the scaling of least error, where that is worth it. error(design): relative, squared.
    log(Attempt): what was tried. spent(): whether there is no time for another one."""
    before = error(design)
    if design.scaling or before <= POOR:
        return design
    tried: list[tuple[float, int, Design]] = []
    for candidate in [replace(design, scaling=scaling) for scaling in SCALINGS if scaling]:
        if spent():
            log(Attempt(f"rescaled channels ({candidate.scaling}): {LEFT_OUT}", None, None, False, candidate))
            continue
        tried.append((error(candidate), len(tried), candidate))
        if tried[-1][0] <= _GOOD:
            break
    if not tried:
        return design
    least, _, best = min(tried)
    for found, _, candidate in tried:
        log(
            Attempt(
                f"rescaled channels ({candidate.scaling})",
                found,
                None,
                candidate == best and least <= before * _WORTH,
                candidate,
            )
        )
    return best if least <= before * _WORTH else design
