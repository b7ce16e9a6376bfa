"""The options that every quantising command shares, as a Recipe."""

from ...passes.annotate.recipe import Recipe
from ...targets.errors import OctetError

_NAMES = (
    "calibrator",
    "percentile",
    "activations",
    "weights",
    "attention",
    "residuals",
    "softmax",
    "floats",
    "float_layers",
    "int8_layers",
    "self_check",
    "count_clips",
    "io",
)


def recipe_of(options) -> Recipe:
    """The recipe that the options of a command ask for.

    options: an object with those of `_NAMES` that the command has; None means the recipe's default. Raises
    OctetError."""
    given = {name: getattr(options, name) for name in _NAMES if getattr(options, name, None) is not None}
    if "percentile" in given and given.get("calibrator") != "percentile":
        raise OctetError(
            f"--percentile {given['percentile']:g}: only the percentile calibrator takes it; add --calibrator "
            "percentile"
        )
    return Recipe(**given)
