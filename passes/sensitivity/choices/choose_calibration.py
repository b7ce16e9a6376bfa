"""The best calibrator of a design, by its error on held-out samples, and other calibrators for single tensors."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from ...annotate.plan import Plan
from ..attempt import Attempt
from ..budget import Budget
from ..design import Design
from .best_of import best_of
from .ranges import calibrations, ranges_name, ranges_of

if TYPE_CHECKING:
    from ..bench import Bench
    from ..journal import Journal


TENSORS = 24  # At most so many tensors get a calibrator of their own.
OTHERS = (("max", 99.99), ("mse", 99.99), ("percentile", 99.99))  # Single tensors try these calibrators.
_REFINED_WORTH = 0.98
_WORTH = 0.6  # Where nobody asked for another calibrator, it must leave at most this part of the squared error.


def choose_calibration(
    bench: "Bench",
    design: Design,
    journal: "Journal",
    tell: Callable[..., None] = lambda *a: None,
    log: Callable[[Attempt], None] = lambda step: None,
    budget: Budget = Budget(),
) -> Design:
    """The design with the calibrator of least output error, then with other calibrators for single tensors where that
    helps. A budget that ends leaves out what was not tried yet."""

    def error(candidate: Design) -> float:
        return journal.get(f"error {candidate.key}", lambda: bench.error(candidate))

    candidates = calibrations(design)
    tried: list[tuple[float, int, Design]] = []
    for number, candidate in enumerate(candidates):
        if tried and budget.spent:
            break
        tell("calibrators", number, len(candidates))
        tried.append((error(candidate), number, candidate))
    _, _, chosen = min(tried)
    for found, _, candidate in tried:
        log(Attempt(ranges_name(candidate.recipe), found, None, candidate == chosen, candidate))
    refined = refined_by_tensor(bench, chosen, error, journal, tell, budget)
    if refined != chosen:
        log(Attempt(f"calibrators of {len(refined.recipe.per_tensor)} tensors", error(refined), None, True, refined))
    return refined


def choose_ranges(
    design: Design,
    free: Iterable[str],
    plan: Callable[[Design], Plan],
    error: Callable[[Design], float],
    log: Callable[[Attempt], None],
    *,
    far: float,
    spent: Callable[[], bool] = lambda: False,
) -> Design:
    """The design with what takes no time at run time and leaves the least error, where it is further than `far` from
    fp32 and that brings it much nearer: another calibrator, symmetric ranges, softmax by a table. free: the recipe's
    options that may change. plan(design): what becomes int8. error(design): relative, squared. log(Attempt): what was
    tried. spent(): whether there is no time for another one."""
    if design.scaling or error(design) <= far:
        return design
    return best_of(design, ranges_of(design, free, plan), error, log, _WORTH, spent=spent)


def refined_by_tensor(
    bench: "Bench",
    design: Design,
    error: Callable[[Design], float],
    journal: "Journal",
    tell: Callable[..., None],
    budget: Budget,
) -> Design:
    """Tensor by tensor, those whose own error is largest first: another calibrator where it lowers the error of the
    outputs on the few samples, and all of them together if they do so on all (`error`)."""
    some = bench.some(TENSORS * len(OTHERS))

    def rough(candidate: Design) -> float:
        return journal.get(f"few {candidate.key}", lambda: bench.error(candidate, some))

    tensors = [] if budget.spent else bench.tensors(design)[:TENSORS]
    refined, best = design, rough(design) if tensors else 0.0
    for number, tensor in enumerate(tensors):
        if budget.spent:
            break
        tell("calibrators by tensor", number, len(tensors))
        for calibrator, percentile in OTHERS:
            if budget.spent or (calibrator, percentile) == (design.recipe.calibrator, design.recipe.percentile):
                continue
            others = tuple(entry for entry in refined.recipe.per_tensor if entry[0] != tensor)
            candidate = refined.with_recipe(per_tensor=(*others, (tensor, calibrator, percentile)))
            found = rough(candidate)
            if found < best * _REFINED_WORTH:
                refined, best = candidate, found
    return refined if refined != design and error(refined) < error(design) * _REFINED_WORTH else design
