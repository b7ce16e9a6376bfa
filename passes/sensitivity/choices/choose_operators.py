"""The few operators that a network leaves in float by itself because int8 is far from fp32 after everything that is
cheaper: those whose own error at the outputs is largest.

Errors are often made in few places: a recording's samples in front of a Fourier transform, the first layers of a text
reader whose functions have a few large values. How many is measured: 1, 2, 4, ... of the ranking."""

from collections.abc import Callable
from functools import partial
from typing import Any

from ..attempt import LEFT_OUT, Attempt, ErrorOf, Log, SecondsOf
from ..design import Design
from ..ranking import Ranked
from .switches import FAR, WORTH, times_worth

LEAST = 1e-2  # From this relative squared error (20 dB) on operators go to float.
# A network so far from fp32 is of little use, so it may take this many times its time for every halving of the squared
# error, and for any gain.
_SLOWEST = 2.0
_worth = partial(times_worth, slower=_SLOWEST, slowest=_SLOWEST)


def choose_operators(
    design: Design,
    ranked: Callable[..., Any],
    error: ErrorOf,
    seconds: SecondsOf,
    log: Log,
    *,
    spent: Callable[[], bool] = lambda: False,
) -> tuple[Design, list[Ranked]]:
    """(the design with the fewest operators in float that bring it near to fp32, or else those that bring it nearest,
    where that is worth its time; the ranking, [] where it was not needed).

    ranked(design): its operators, most sensitive first (`rank`). error(design): relative, squared. seconds(design): of
    one run, estimated. log(Attempt): what was tried. spent(): whether there is no time for another error."""
    before = error(design)
    if before <= LEAST:
        return design, []
    if spent():
        log(Attempt(f"the most sensitive operators in float: {LEFT_OUT}", None, None, False, design))
        return design, []
    ranking = ranked(design)
    names = [layer.name for layer in ranking]
    took, tried, count = seconds(design), [], 1
    while names:
        candidate = design.with_recipe(float_operators=design.recipe.float_operators | set(names[:count]))
        after, ratio = error(candidate), seconds(candidate) / took
        tried.append((after, ratio, count, candidate))
        if after <= FAR or count == len(names) or spent():
            break
        if ratio <= _SLOWEST:
            count = min(2 * count, len(names))
        elif count == 1:
            del names[0]  # One operator that is dear by itself is passed over, as the next ones may be cheap.
        else:
            break  # More of them would take too long.
    taken = [entry for entry in tried if entry[0] <= before * WORTH and entry[1] <= _worth(before, entry[0])]
    best = min(taken, default=None)
    for entry in tried:
        after, ratio, count, candidate = entry
        name = f"{count} operator{'s' * (count > 1)} in float, {ratio - 1:+.1%} of the estimated time"
        slower = _worth(before, after) if entry is best else None
        log(Attempt(name, after, None, entry is best, candidate, slower=slower))
    return (design if best is None else best[-1]), ranking
