"""Several shapes of a network's inputs, said at once: extents of a dimension, shapes of an input."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

from ....targets.batches import batch_of, takes_samples
from ....targets.errors import UnsupportedModelError
from ....targets.manifest.fields import MOST_SHAPES
from ....targets.shaped.dimensions import dimensions
from ....targets.variant import can_pad
from ..model import Model


def said_of_each(
    shapes: Mapping[str, Any], dims: Mapping[str, Any], path: Path
) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """[(shapes, dims)] of one shape each, as `Said` has them, the smallest extents first. dims: {symbolic dimension:
    extent, "batch", or several extents}: every one with every one of the others. shapes: {input: extents, or several of
    them}: the first of one input with the first of another, and so on.
    Raises UnsupportedModelError."""
    lists = {
        name: _several(shape, lambda shape: not shape or isinstance(shape[0], (int, str)))
        for name, shape in shapes.items()
    }
    counts = {name: len(several) for name, several in lists.items() if len(several) > 1}
    if len(set(counts.values())) > 1:
        (first, many), (second, few) = list(counts.items())[:2]
        raise UnsupportedModelError(
            f"{path}: --shape {first} has {many} shapes and --shape {second} has {few}; the first ones go together, "
            "and so on, so give as many"
        )
    together = [
        {name: several[i if len(several) > 1 else 0] for name, several in lists.items()}
        for i in range(max(counts.values(), default=1))
    ]
    extents = {
        symbol: sorted(set(_several(said, lambda said: isinstance(said, (int, str))))) for symbol, said in dims.items()
    }
    every = [dict(zip(extents, chosen)) for chosen in product(*extents.values())]
    if len(together) * len(every) > MOST_SHAPES:
        raise UnsupportedModelError(
            f"{path}: {len(together) * len(every)} shapes were asked for, a package has at most {MOST_SHAPES}; give "
            "fewer extents, the larger ones take what is padded"
        )
    return [(shape, dim) for shape in together for dim in every]


def one_model(models: list[Model], data: Mapping[str, tuple[int, ...]], pads: Mapping[str, float], path: Path) -> Model:
    """The first of the models with the others as its `others`: the one whose inputs the data have, else the largest.
    data: {input: shape of the array of its samples}.
    Raises UnsupportedModelError for pads that say nothing of this network."""
    models = list({tuple(spec.shape for spec in model.inputs): model for model in models}.values())
    ordered = sorted(models, key=lambda model: sum(spec.nbytes for spec in model.inputs))
    first = next((model for model in ordered if data and _takes(model, data)), ordered[-1])
    others = tuple(model for model in ordered if model is not first)
    return (
        replace(first, others=others, pads=_checked_pads(replace(first, others=others), pads, path))
        if others or pads
        else first
    )


def _takes(model: Model, data: Mapping[str, Any]) -> bool:
    batch = batch_of(model.inputs)
    return all(spec.name in data and takes_samples(spec, batch, data[spec.name]) for spec in model.inputs)


def _several(said: Any, is_one: Callable[[Any], bool]) -> list[Any]:
    return [said] if is_one(said) else list(said)


def _checked_pads(model: Model, pads: Mapping[str, float], path: Path | str) -> dict[str, float]:
    """{input: the value that pads it}, as a package holds them."""
    if not pads:
        return {}
    name, value = next(iter(pads.items()))
    if not model.others:
        raise UnsupportedModelError(
            f"{path}: --pad {name}={value}: is for a package of several shapes; add --dim NAME=32,64,128"
        )
    found = dimensions([shape.inputs for shape in model.shapes], [shape.outputs for shape in model.shapes])
    varying, inputs = (
        {name for dimension in found for name, _ in dimension.inputs},
        {spec.name: spec for spec in model.inputs},
    )
    for name, value in pads.items():
        if name not in varying:
            what = "is the same for every shape" if name in inputs else "is no input"
            raise UnsupportedModelError(
                f"{path}: --pad {name}={value}: {what}; inputs that can be padded are {', '.join(sorted(varying))}"
            )
        if not can_pad(inputs[name].dtype, value):
            raise UnsupportedModelError(
                f"{path}: --pad {name}={value}: is no value of {inputs[name].dtype}; give one that is"
            )
    missing = sorted(varying - pads.keys())
    if missing:
        raise UnsupportedModelError(
            f"{path}: --pad {next(iter(pads))}={next(iter(pads.values()))}: {missing[0]} has to be padded along with "
            f"it; add --pad {missing[0]}=VALUE"
        )
    if not all(dimension.cuts for dimension in found):
        raise UnsupportedModelError(
            f"{path}: --pad {name}={value}: an output has an extent that no input has, so it cannot be cut back; "
            "leave --pad out, arrays then fit exactly"
        )
    return {name: value if "float" in inputs[name].dtype else int(value) for name, value in pads.items()}
