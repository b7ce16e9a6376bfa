"""A design, and what was learnt for it, as the QDQ hub: the same for the search that chose it and for whoever has only
what it learnt."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ...targets.seams import JsonObject
from ..annotate.graph import Graph
from ..calibrate.quantize import Quantized, hub_of
from ..calibrate.statistics import Statistics
from ..repair.add_biases import AddBiases
from ..repair.correct_biases import CorrectBiases
from ..repair.equalize_channels import EqualizeChannels
from ..repair.find_streams import streams_of
from ..repair.migrate_scales import MigrateScales
from ..repair.round_weights import RoundWeights
from ..repair.smooth_inputs import SmoothInputs, behind_norms, smoothable
from ..repair.split_inputs import SplitInputs, splittable
from ..repair.weights import products
from ..running import Step
from .design import FURTHEST, SMOOTHINGS, Design
from .learn import Learnt

if TYPE_CHECKING:
    import tvm

    from ..annotate.graph import Node
    from ..frontend.model import Model

WITHOUT_DATA: dict[str, Step] = {"equalize": EqualizeChannels()}  # Equalisation asks for no samples.


@dataclass(frozen=True)
class Origin:
    """What a search made a hub of. maxima: {tensor: float32 [channels]}, {} where no scaling asked for them. learnt: by
    the index of the layer's binding."""

    design: Design
    maxima: Mapping[str, np.ndarray]
    learnt: Mapping[int, Learnt]

    @property
    def repairs(self) -> JsonObject:
        """The design beside its recipe, for manifests."""
        return {key: value for key, value in self.design.as_dict().items() if key != "recipe"}


def with_biases(model: "Model") -> "Model":
    """A canonical `Model` whose layers all have one, so that biases can be corrected: what designs are of."""
    return model.after(AddBiases())


def rescaled(model: "Model", scaling: str, maxima: Callable[[], Mapping[str, np.ndarray]]) -> "Model":
    """The model with its channels rescaled. maxima: gives the largest magnitude of every channel of tensors, asked for
    where a scaling needs it."""
    if not scaling:
        return model
    if scaling in SMOOTHINGS:
        smoothed = model.after(SmoothInputs(maxima(), tables=scaling == "smooth-tables")).after(
            MigrateScales(0.5, maxima())
        )
        everything = scaling == FURTHEST
        return smoothed.after(SplitInputs(maxima(), everything)) if scaling == "split" or everything else smoothed
    if scaling in WITHOUT_DATA:
        return model.after(WITHOUT_DATA[scaling])
    return model.after(MigrateScales(float(scaling.removeprefix("migrate-")), maxima()))


def needs_maxima(scaling: str) -> bool:
    """Whether a scaling asks for the magnitudes of channels."""
    return scaling.startswith("migrate") or scaling in SMOOTHINGS


def with_maxima(module: "tvm.IRModule") -> list[str]:
    """The tensors whose channels' magnitudes scalings may ask for."""
    smoothed = smoothable(module, tables=True)
    split = splittable(module, everything=True) if _functions(module, smoothed) else {}
    rescaled_ones = (name for stream in streams_of(module) for name in stream.tensors)
    return list(dict.fromkeys([*rescaled_ones, *smoothed, *split]))


def smoothings_of(module: "tvm.IRModule") -> tuple[str, ...]:
    """The names of SMOOTHINGS that would multiply something in this network."""
    both = smoothable(module, tables=True)
    functions = _functions(module, both)
    present = (behind_norms(module, both), functions, functions, functions)
    return tuple(name for name, there in zip(SMOOTHINGS, present, strict=True) if there)


def _functions(module: "tvm.IRModule", smoothed: "dict[str, list[Node]]") -> bool:
    """Whether functions are among what can be smoothed."""
    return len(smoothed) > len(behind_norms(module, smoothed))


def assembled(model: "Model", origin: Origin, statistics: Mapping[str, Statistics]) -> Quantized:
    """The hub. model: with biases and rescaled as the design says."""
    design, learnt = origin.design, origin.learnt
    quantized = hub_of(model, design.recipe, statistics)
    numbers = {node.index: number for number, node in enumerate(products(Graph(model.module)))}

    def repaired(hub: Quantized) -> Quantized:
        module = hub.module
        if design.rounding:
            module = RoundWeights({numbers[i]: found.weight for i, found in learnt.items()})(module)
        if design.biases:
            module = CorrectBiases({numbers[i]: found.bias_delta for i, found in learnt.items()})(module)
        # The other shapes' hubs have the same products in the same order.
        return replace(hub, module=module, others=tuple(map(repaired, hub.others)))

    return replace(repaired(quantized), origin=origin)
