"""The best of a few designs that cost nothing at run time."""

from collections.abc import Callable, Iterable

from ..attempt import LEFT_OUT, Attempt, ErrorOf, Log
from ..design import Design


def best_of(
    design: Design,
    candidates: Iterable[tuple[str, Design]],
    error: ErrorOf,
    log: Log,
    worth: float,
    *,
    good: float = 0.0,
    spent: Callable[[], bool] = lambda: False,
) -> Design:
    """The candidate of least error where that is at most the part `worth` of the design's, else the design.
    candidates: with their names for people; after one whose error is at most `good` no other is tried. error(design):
    relative, squared. log(Attempt): what was tried. spent(): whether there is no time for another one."""
    before = error(design)
    tried: list[tuple[float, int, str, Design]] = []
    for name, candidate in candidates:
        if spent():
            log(Attempt(f"{name}: {LEFT_OUT}", None, None, False, candidate))
            continue
        tried.append((error(candidate), len(tried), name, candidate))
        if tried[-1][0] <= good:
            break
    least, _, _, best = min(tried, default=(before, 0, "", design))
    best = best if least <= before * worth else design
    for found, _, name, candidate in tried:
        log(Attempt(name, found, None, candidate == best, candidate))
    return best
