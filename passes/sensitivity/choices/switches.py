"""What a transformer can leave in float for little time: the sums in front of its layer normalisations, the products of
attention, and factors for outlier channels.

A few channels of a residual stream are often 20 to 100 times the others, and one scale leaves the others no steps.
Whether that is so is measured: a switch is taken where it removes most of the output error on held-out samples and
costs little estimated time."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from math import log2
from typing import TYPE_CHECKING

from ..attempt import LEFT_OUT, Attempt, ErrorOf, Log, SecondsOf
from ..design import FURTHEST, Design

if TYPE_CHECKING:
    from ...annotate.plan import Plan


_GOOD = 1e-3  # Below this relative squared error (30 dB) there is nothing to repair.
WORTH = 0.6  # A switch must leave at most this part of the squared error, as less may be the few samples' luck.
_SLOWER = 1.2  # A network may take at most so many times its estimated time for every halving of the squared error.
_SLOWEST = 1.3  # For any gain it takes at most so many times its time: who wants more accuracy says so.
FAR = 10**-2.4  # From this relative squared error (24 dB, a cosine of 0.998) on a network may take more time.
# A network that is far may take so many times its time for every halving, and for any gain.
_FAR_SLOWER = _FAR_SLOWEST = 1.5
NAMES = {"residuals": "residual sums", "attention": "attention"}
_SHOWN = {
    "smooth": "outlier channels behind normalisations multiplied",
    "smooth-tables": "outlier channels behind normalisations and GELU multiplied, in float",
    "split": "outlier channels behind normalisations multiplied, inputs behind GELU in two bytes",
    "split-all": "outlier channels multiplied, functions in float, inputs behind them and normalisations in two bytes",
}


def switches_of(plan: "Plan", free: tuple[str, ...]) -> tuple[str, ...]:
    """The options of `free`, of the recipe, that would change something in the plan."""
    present = {"residuals": bool(plan.sums), "attention": any(group.product for group in plan.groups)}
    return tuple(option for option in NAMES if option in free and present[option])


def _named(design: Design) -> str:
    return (
        " and ".join(shown for option, shown in NAMES.items() if getattr(design.recipe, option) == "float")
        + " in float"
    )


def _worth(before: float, after: float) -> float:
    """The most that a network may take times its time for an error that falls so far."""
    slower, slowest = (_FAR_SLOWER, _FAR_SLOWEST) if before > FAR else (_SLOWER, _SLOWEST)
    return times_worth(before, after, slower, slowest)


def times_worth(before: float, after: float, slower: float, slowest: float) -> float:
    """The times its time that a network may take: `slower` for every halving of the squared error, at most
    `slowest`."""
    return min(slowest, slower ** log2(before / max(after, 1e-12)))


def choose_switches(
    design: Design,
    options: tuple[str, ...],
    error: ErrorOf,
    seconds: SecondsOf,
    log: Log,
    *,
    good: float = _GOOD,
    spent: Callable[[], bool] = lambda: False,
) -> Design:
    """The design with the best of the options in float, one after the other as long as the next is worth it.
    error(design): relative, squared. seconds(design): of one run, estimated. log(Attempt): what was tried."""
    best, left, known = error(design), list(options), set[Design]()
    while left and best > good:
        tried = [
            (error(candidate), candidate, option)
            for option in left
            if not spent()
            for candidate in [design.with_recipe(**{option: "float"})]
        ]
        late = left[len(tried) :]
        for option in late:
            log(
                Attempt(
                    f"{NAMES[option]} in float: {LEFT_OUT}", None, None, False, design.with_recipe(**{option: "float"})
                )
            )
        left = left[: len(tried)]
        if not tried:
            break
        found, chosen, option = min(tried, key=lambda entry: entry[0])
        ratio, slower = seconds(chosen) / seconds(design) if found <= best * WORTH else None, _worth(best, found)
        kept = ratio is not None and ratio <= slower
        for value, candidate, name in tried:
            taken = kept and name == option
            if candidate in known and not taken:
                continue  # A design that was tried before, beside one not worth its time, is not logged again.
            known.add(candidate)
            cost = f", {ratio - 1:+.1%} of the estimated time" if ratio is not None and name == option else ""
            log(Attempt(f"{_named(candidate)}{cost}", value, None, taken, candidate, slower=slower if taken else None))
        left.remove(option)
        if kept:
            design, best = chosen, found
        elif ratio is None:
            break
    return design


def choose_smoothing(
    design: Design,
    offered: tuple[str, ...],
    error: ErrorOf,
    seconds: SecondsOf,
    log: Log,
    *,
    good: float = _GOOD,
    spent: Callable[[], bool] = lambda: False,
) -> Design:
    """The design with the first of the scalings `offered` (of SMOOTHINGS, what reaches furthest first) that is worth
    its time, under the same conditions as a switch; and with FURTHEST where `split` leaves it far from fp32."""
    if design.scaling or error(design) <= good:
        return design
    tried = partial(_scaled, error=error, seconds=seconds, log=log, spent=spent)
    offers = (tried(design, name) for name in reversed(offered) if name != FURTHEST)
    chosen = next((found for found in offers if found is not None), design)
    if FURTHEST in offered and chosen.scaling == "split" and error(chosen) > FAR:
        chosen = tried(chosen, FURTHEST) or chosen
    return chosen


def _scaled(
    design: Design,
    name: str,
    error: Callable[..., float],
    seconds: Callable[..., float],
    log: Callable[..., None],
    spent: Callable[[], bool],
) -> Design | None:
    """The design with the scaling, where that is worth its time."""
    candidate = replace(design, scaling=name)
    if spent():
        log(Attempt(f"{_SHOWN[name]}: {LEFT_OUT}", None, None, False, candidate))
        return None
    before, found, ratio = error(design), error(candidate), seconds(candidate) / seconds(design)
    slower = _worth(before, found)
    kept = found <= before * WORTH and ratio <= slower
    shown = f"{_SHOWN[name]}, {ratio - 1:+.1%} of the estimated time"
    log(Attempt(shown, found, None, kept, candidate, slower=slower if kept else None))
    return candidate if kept else None
