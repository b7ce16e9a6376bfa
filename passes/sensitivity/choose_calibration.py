"""The best calibrator of a design, by its error on held-out samples, and the percentiles around the best one."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from ..annotate.plan import Plan
from .attempt import Attempt
from .best_of import best_of
from .budget import Budget
from .design import Design
from .improvement import OTHERS, TENSORS, calibrations

if TYPE_CHECKING:
    from ..annotate.recipe import Recipe
    from .bench import Bench
    from .journal import Journal


_REFINED_WORTH = 0.98
_WORTH = 0.6  # another calibrator must leave at most this part of the squared error, where nobody asked for one


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
    best, _, chosen = min(tried)
    for found, _, candidate in tried:
        log(Attempt(f"calibrator {_calibrator(candidate.recipe)}", found, None, candidate == chosen, candidate))
    refined, least = refined_by_tensor(bench, chosen, best, error, tell, budget)
    if refined != chosen:
        log(Attempt(f"calibrators of {len(refined.recipe.per_tensor)} tensors", least, None, True, refined))
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
    candidates = [(f"calibrator {_calibrator(other.recipe)}", other) for other in calibrations(design)]
    candidates = [entry for entry in candidates if "calibrator" in free and entry[1] != design]
    if "activations" in free:
        candidates.append(("symmetric activations", design.with_recipe(activations="symmetric")))
    table = design.with_recipe(softmax="table")
    if "softmax" in free and len(plan(table).groups) > len(plan(design).groups):
        candidates.append(("softmax by a table", table))
    return best_of(design, candidates, error, log, _WORTH, spent=spent)


def refined_by_tensor(
    bench: "Bench",
    design: Design,
    best: float,
    error: Callable[[Design], float],
    tell: Callable[..., None],
    budget: Budget,
) -> tuple[Design, float]:
    """Tensor by tensor, those whose own error is largest first: another calibrator where it lowers the error of the
    outputs."""
    tensors = [] if budget.spent else bench.tensors(design)[:TENSORS]
    for number, tensor in enumerate(tensors):
        tell("calibrators by tensor", number, len(tensors))
        for calibrator, percentile in OTHERS:
            if budget.spent:
                return design, best
            if (calibrator, percentile) == (design.recipe.calibrator, design.recipe.percentile):
                continue
            others = tuple(entry for entry in design.recipe.per_tensor if entry[0] != tensor)
            candidate = design.with_recipe(per_tensor=(*others, (tensor, calibrator, percentile)))
            found = error(candidate)
            if found < best * _REFINED_WORTH:
                design, best = candidate, found
    return design, best


def label_of(name: str, design: Design) -> str:
    """What a step of the search is called in reports."""
    if name == "calibrators":
        return f"calibrator {_calibrator(design.recipe)}"
    return f"{name} ({design.scaling})" if name == "rescaled channels" else name


def _calibrator(recipe: "Recipe") -> str:
    return f"percentile {recipe.percentile:g}" if recipe.calibrator == "percentile" else recipe.calibrator
