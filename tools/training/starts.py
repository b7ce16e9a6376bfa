"""Where training begins: the layers of a QDQ hub with what their integers are rounded from, and the hub with other
integers in their place.

conv2d(R.dequantize(x), R.dequantize(const q, const s, 0)) + const b   <->   Start(q, weight, s, s_x, b)
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from tvm import IRModule

from ...passes.annotate.conv import bare_members
from ...passes.annotate.graph import Graph as Nodes, is_constant
from ...passes.calibrate.quantize import Quantized
from ...passes.constants import array_of
from ...passes.export.onnx_qdq import merged_biases
from ...passes.ops import is_op
from ...passes.realize.linear import Refused, weight_of
from ...passes.repair.weights import Operand, products, replace_constants
from ...passes.rewriting.dataflow_graph import DataflowGraph
from .trained_layer import Start

_HALVINGS = 7  # A scale is halved at most so often.


def starts_of(quantized: Quantized) -> dict[str, Start]:
    """Finds where the training of each layer begins.

    {name of a layer: Start} of every layer of the hub with int8 data and weights. Weights begin at those of the fp32
    network where these are what was rounded."""
    graph, nodes = DataflowGraph(quantized.module["main"]), Nodes(quantized.module)
    stored, found = merged_biases(nodes), {}
    exact = {node.name: node.value for node in products(Nodes(quantized.model.module))}
    for node in products(nodes):
        data, channel = graph.definition(node.value.args[0]), _channel_axis(node.value)
        weight = weight_of(graph, node.value.args[1], channel)
        if not isinstance(weight, Refused) and is_op(data, "relax.dequantize"):
            biases = [array_of(x) for member in bare_members(nodes, node)[1:] for x in member.inputs if is_constant(x)]
            bias = biases[0].reshape(-1).astype(np.float32) if biases else None
            real = _real_weight(exact.get(node.name), weight, channel)
            found[node.name] = Start(
                weight.values, real, weight.scale, float(graph.constant(data.args[1])), bias, node in stored
            )
    return found


def narrowed(quantized: Quantized) -> Quantized:
    """The hub with the scale of every layer whose weights share one chosen for its channels: where the largest channel
    leaves the others no steps, it is cut, and training makes up for it.

    What counts is the error of every channel relative to the channel itself, as activations behind a folded BatchNorm
    are of one size whatever the weights; a channel cannot lose more than itself."""
    starts, nodes = starts_of(quantized), Nodes(quantized.module)
    codes: dict[Operand, np.ndarray] = {}
    scales: dict[Operand, np.ndarray] = {}
    for node in products(nodes):
        start = starts.get(node.name)
        if start is None or len(start.scale) == 1 or (start.scale != start.scale[0]).any():
            continue
        scale, integers = _scale_of_channels(start.weight, start.scale[0])
        if scale != start.scale[0]:
            index = nodes.producer[node.inputs[1]].index
            codes[index, 0] = np.moveaxis(integers, 0, _channel_axis(node.value))
            scales[index, 1] = np.full_like(array_of(nodes.producer[node.inputs[1]].value.args[1]), scale)
    if not codes:
        return quantized
    return replace(quantized, module=replace_constants(replace_constants(quantized.module, codes, np.int8), scales))


def _scale_of_channels(weight, largest):
    """(float32 scale, int8 weights); `largest` where no smaller one is better."""
    rows = weight.reshape(len(weight), -1).astype(np.float64)
    energy = np.square(rows).sum(1)
    rows, energy = rows[energy > 0], energy[energy > 0]

    def error(scale):
        kept = np.clip(np.rint(rows / scale), -127, 127) * scale
        return np.minimum(np.square(kept - rows).sum(1) / energy, 1).sum()

    scale = np.float32(min((float(largest) * 2.0 ** (-i / 2) for i in range(_HALVINGS * 2 + 1)), key=error))
    return scale, np.clip(np.rint(weight / scale), -127, 127).astype(np.int8)


def _channel_axis(call):
    return 0 if is_op(call, "relax.nn.conv2d") else 1


def _real_weight(call, weight, channel):
    """The fp32 network's weight, or the integers times their scale where there is none of that shape."""
    scaled = weight.values * weight.scale.reshape(-1, *[1] * (weight.values.ndim - 1))
    if call is None or not is_constant(call.args[1]):
        return scaled
    real = np.moveaxis(array_of(call.args[1]), channel, 0)
    return real if real.shape == scaled.shape else scaled


def with_layers(mod: IRModule, values: Mapping[str, tuple]) -> IRModule:
    """The hub with the integers and biases of trained layers. values: {name: (int8 [O, ...], float32 bias [O] or None,
    which keeps it)}."""
    nodes = Nodes(mod)
    codes: dict[Operand, np.ndarray] = {}
    biases: dict[Operand, np.ndarray] = {}
    for node in products(nodes):
        if node.name in values:
            integers, bias = values[node.name]
            codes[nodes.producer[node.inputs[1]].index, 0] = np.moveaxis(integers, 0, _channel_axis(node.value))
            if bias is not None:
                biases[bare_members(nodes, node)[1].index, None] = bias
    return replace_constants(replace_constants(mod, codes, np.int8), biases)
