"""The options that every quantising command shares, as a Recipe."""

from ..passes.annotate.recipe import Recipe
from ..targets.errors import OctetError


def recipe_of(options) -> Recipe:
    """options: an object with calibrator, percentile, activations and weights; None means the recipe's default. Raises OctetError."""
    names = ("calibrator", "percentile", "activations", "weights")
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    if "percentile" in given and given.get("calibrator") != "percentile":
        raise OctetError(f"--percentile {given['percentile']:g}: only the percentile calibrator takes it; add --calibrator percentile")
    return Recipe(**given)
