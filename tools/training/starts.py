"""Where training begins: the layers of a QDQ hub with what their integers are rounded from, and the hub with other integers in their place.

    conv2d(R.dequantize(x), R.dequantize(const q, const s, 0)) + const b   <->   Start(q, weight, s, s_x, b)
"""

from collections.abc import Mapping

import numpy as np
from tvm import IRModule

from ...passes.annotate.conv import bare_members
from ...passes.annotate.graph import Graph as Nodes, array_of, is_constant
from ...passes.calibrate.quantize import Quantized
from ...passes.export.onnx_qdq import merged_biases
from ...passes.ops import is_op
from ...passes.realize.linear import Refused, weight_of
from ...passes.repair.weights import products, replace_constants
from ...passes.rewriting.graph import Graph
from .layer import Start


def starts_of(quantized: Quantized) -> dict[str, Start]:
    """{name of a layer: Start} of every layer of the hub with int8 data and weights. Weights begin at those of the fp32 network where these are what was rounded."""
    graph, nodes = Graph(quantized.module["main"]), Nodes(quantized.module)
    stored, found = merged_biases(nodes), {}
    exact = {node.name: node.value for node in products(Nodes(quantized.model.module))}
    for node in products(nodes):
        data, channel = graph.definition(node.value.args[0]), _channel_axis(node.value)
        weight = weight_of(graph, node.value.args[1], channel)
        if not isinstance(weight, Refused) and is_op(data, "relax.dequantize"):
            biases = [array_of(x) for member in bare_members(nodes, node)[1:] for x in member.inputs if is_constant(x)]
            bias = biases[0].reshape(-1).astype(np.float32) if biases else None
            real = _real_weight(exact.get(node.name), weight, channel)
            found[node.name] = Start(weight.values, real, weight.scale, float(graph.constant(data.args[1])), bias, node in stored)
    return found


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
    """The hub with the integers and biases of trained layers. values: {name: (int8 [O, ...], float32 bias [O] or None, which keeps it)}."""
    nodes, codes, biases = Nodes(mod), {}, {}
    for node in products(nodes):
        if node.name in values:
            integers, bias = values[node.name]
            codes[nodes.producer[node.inputs[1]].index, 0] = np.moveaxis(integers, 0, _channel_axis(node.value))
            if bias is not None:
                biases[bare_members(nodes, node)[1].index, None] = bias
    return replace_constants(replace_constants(mod, codes, np.int8), biases)
