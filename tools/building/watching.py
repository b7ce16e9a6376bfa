"""What a package notes beside its answers, as its recipe asks."""

from dataclasses import replace

from ...passes.annotate.recipe import Recipe
from ...passes.calibrate.quantize import Quantized
from ...targets.errors import TargetError


def check_watched(specs, recipe: Recipe) -> None:
    """Raises TargetError for a target that cannot do what the recipe asks, before the first long phase."""
    gpu = next((spec for spec in specs if spec.kind != "cpu"), None)
    if recipe.self_check and gpu is not None:
        raise TargetError(f"target {gpu.name}: --self-check is for CPUs; leave it out, or compile this target apart without it")


def watched_as(quantized: Quantized, recipe: Recipe | None) -> Quantized:
    """A network that came quantised, with what the recipe says of how it runs."""
    return quantized if recipe is None else replace(quantized, recipe=replace(quantized.recipe, self_check=recipe.self_check))
