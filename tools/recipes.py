"""The options that every quantising command shares, as a Recipe."""

from ..passes.annotate.recipe import Recipe


def recipe_of(options) -> Recipe:
    """options: an object with calibrator, percentile, activations and weights; None means the recipe's default. Raises OctetError."""
    names = ("calibrator", "percentile", "activations", "weights")
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    return Recipe(**given)
