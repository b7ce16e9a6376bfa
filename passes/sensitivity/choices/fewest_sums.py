"""Residual sums in float, no more of them than matter: those in front of layer normalisations whose int8 steps are
coarse beside their values; the others cost less in int8 and are as good."""

from collections.abc import Callable

from ..attempt import Attempt
from ..bench import Bench
from ..design import Design
from .switches import FAR

_SAME = 1.02  # The squared error may be so many times the one with all sums in float.
_FASTER = 0.99  # The estimated time must fall to this part: less is not worth an error.


def fewest_sums(
    design: Design,
    bench: Bench,
    error: Callable[[Design], float],
    seconds: Callable[[Design], float],
    log: Callable[[Attempt], None],
    *,
    spent: Callable[[], bool] = lambda: False,
) -> Design:
    """The design with half, a quarter, ... of its residual sums in float, coarsest first, as long as that saves time
    and is as near to fp32 as with all; all of them where the network is far from fp32. error(design): relative,
    squared. seconds(design): of one run, estimated. log(Attempt): what was tried. spent(): whether there is no time for
    another error."""
    if design.recipe.residuals != "float" or error(design) > FAR:
        return design
    sums, limit = coarsest_first(design.with_recipe(residuals="int8"), bench), error(design) * _SAME
    chosen, count = design, len(sums) // 2
    while count and not spent():
        kept_float = design.recipe.float_operators | set(sums[:count])
        candidate = design.with_recipe(residuals="int8", float_operators=kept_float)
        found, ratio = error(candidate), seconds(candidate) / seconds(chosen)
        kept = found <= limit and ratio <= _FASTER
        name = f"{count} of {len(sums)} residual sums in float, {ratio - 1:+.1%} of the estimated time"
        log(Attempt(name, found, None, kept, candidate))
        if not kept:
            break
        chosen, count = candidate, count // 2
    return chosen


def coarsest_first(design: Design, bench: Bench) -> list[str]:
    """Names of the sums that are int8 in `design`, those first whose step is largest beside half of their values."""
    ranges = bench.ranges(design)

    def coarseness(name: str) -> float:
        statistics, qparams = ranges[name]
        return float(qparams.scale) / max(statistics.quantile(0.5, of_magnitude=True), 1e-30)

    names = sorted(var.name for var in bench.plan(design).sums)
    return sorted((name for name in names if name in ranges), key=coarseness, reverse=True)
