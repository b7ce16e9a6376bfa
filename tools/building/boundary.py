"""Code for callers that quantise, beside that for float arrays: `compile-model --io int8`."""

import warnings
from dataclasses import replace

from ...passes.annotate.recipe import Recipe
from ...passes.lower.integer_network import IntegerNetwork
from ...passes.realize.integer_boundary import IntegerBoundary, boundary_of
from ...passes.running import apply
from ...targets.errors import OctetError, OctetWarning, TargetError
from ...targets.package import Package


def check_boundary(specs, recipe: Recipe) -> None:
    """Raises TargetError for a target that cannot do what the recipe asks, before the first long phase."""
    gpu = next((spec for spec in specs if not spec.backend.codes), None)
    if recipe.io == "int8" and gpu is not None:
        raise TargetError(
            f"target {gpu.name}: --io int8 is for CPUs; leave it out, or compile this target apart without it"
        )


def integer_networks(networks: tuple[IntegerNetwork, ...], recipe: Recipe) -> tuple[IntegerNetwork, ...]:
    """The networks with int8 boundaries; none where they are not asked for, or where nothing at their boundaries is
    quantised."""
    made = tuple(map(_with_codes, networks)) if recipe.io == "int8" else ()
    return () if any(one is None for one in made) else made


def _with_codes(network):
    boundary = boundary_of(network.module)
    if not boundary.inputs and not boundary.outputs:
        return None
    inputs, outputs = (
        tuple(
            replace(spec, dtype="int8", quantization=(found[i].scale, found[i].zero_point)) if i in found else spec
            for i, spec in enumerate(specs)
        )
        for specs, found in ((network.inputs, boundary.inputs), (network.outputs, boundary.outputs))
    )
    return IntegerNetwork(apply(IntegerBoundary(), network.module), inputs, outputs)


def say_boundary(package: Package, recipe: Recipe, modules) -> None:
    """Warns of float inputs that stay float32. modules: the networks that were built. Raises OctetError where the
    recipe asks for codes and nothing at the boundary is quantised."""
    if recipe.io != "int8":
        return
    reasons = {name: reason for module in modules for name, reason in boundary_of(module).reasons.items()}
    said = "; ".join(f"{name}: {reason}" for name, reason in reasons.items()) or "all are of other types"
    if any(variant.integer is None for variant in package.variants):
        raise OctetError(f"--io int8: no input and no output of the network is quantised ({said}); leave it out")
    if reasons:
        warnings.warn(
            f"--io int8: inputs stay float32 where they are not quantised ({said})", OctetWarning, stacklevel=2
        )
