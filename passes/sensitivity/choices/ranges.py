"""Other ranges that a design may have: they cost nothing at run time."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from ..design import Design

if TYPE_CHECKING:
    from ...annotate.plan import Plan
    from ...annotate.recipe import Recipe

CALIBRATIONS = (
    ("mse", 99.99),
    ("max", 99.99),
    ("percentile", 99.9),
    ("percentile", 99.99),
    ("percentile", 99.999),
    ("percentile", 99.9999),
    ("entropy", 99.99),
)


def calibrations(design: Design) -> list[Design]:
    """The design with every calibrator in turn, as candidates to be measured."""
    return [
        design.with_recipe(calibrator=name, percentile=percentile, per_tensor=()) for name, percentile in CALIBRATIONS
    ]


def ranges_of(design: Design, free: Iterable[str], plan: "Callable[[Design], Plan]") -> list[tuple[str, Design]]:
    """(name for people, design) of every other one: another calibrator, symmetric ranges, softmax by a table. free: the
    recipe's options that may change. plan(design): what becomes int8."""
    found = []
    if "calibrator" in free:
        found += [(ranges_name(other.recipe), other) for other in calibrations(design) if other != design]
    if "activations" in free and design.recipe.activations != "symmetric":
        found.append(("symmetric activations", design.with_recipe(activations="symmetric")))
    table = design.with_recipe(softmax="table")
    if "softmax" in free and len(plan(table).groups) > len(plan(design).groups):
        found.append(("softmax by a table", table))
    return found


def ranges_name(recipe: "Recipe") -> str:
    """What the recipe's calibrator is called in reports."""
    name = f"percentile {recipe.percentile:g}" if recipe.calibrator == "percentile" else recipe.calibrator
    return f"calibrator {name}"
