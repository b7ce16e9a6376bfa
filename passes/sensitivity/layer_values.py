"""The constants of a design's layers: int8 weights as float32, rounded as they come or as was learnt, and biases."""

from collections.abc import Iterator, Mapping

import numpy as np
from tvm import IRModule

from ..repair.weights import Layer, dequantized, layers_of, quantized_layer
from .configuration import Configuration
from .design import Design
from .learn import Learnt


def layer_values(
    module: IRModule, design: Design, configuration: Configuration, learnt: Mapping[int, Learnt]
) -> Iterator[tuple[int, tuple[np.ndarray, np.ndarray | None]]]:
    """(layer, (its weights as float32, its bias or None where that stays)) of all layers of a canonical fp32 network,
    also of those left in float; one at a time, as all together are as large as the network. learnt: {layer: what the
    repairs of the design learnt}."""
    for index, layer in layers_of(module).items():
        yield index, layer_value(layer, design, configuration, learnt.get(index))


def layer_value(
    layer: Layer, design: Design, configuration: Configuration, learnt: Learnt | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """(weights, bias or None) of one of them."""
    axis = layer.axis if design.recipe.weights == "per-channel" else -1
    data = configuration.operands.get((layer.index, 0))
    q, scales = quantized_layer(layer, axis, data.scale if data is not None else 1.0)
    if design.rounding and learnt is not None:
        q = learnt.weight
    delta = learnt.bias_delta if design.biases and learnt is not None else None
    bias = None if delta is None or layer.bias is None else layer.bias + delta
    return dequantized(q, scales, axis), bias
