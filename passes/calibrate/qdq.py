"""octet.observe(x) -> R.dequantize(R.quantize(x, s, z), s, z), and of a weight -> R.dequantize(const int8, s, 0, axis):
the hub.

Must run on an annotated module. The result is executable fake quantisation: ordinary Relax, all float32 between the
pairs. The scales are float32 constants (a scalar; weights per channel: [channels]) and the zero points int8 constants
of the same shape. A symmetric tensor keeps to [-127, 127] by a clip in front of its quantize, where an int8 operator
makes it (there it costs nothing: it becomes the clip bounds of the kernel) and it can be negative; a float tensor that
exceeds its calibrated range may become -128.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from tvm import IRModule, relax

from ..annotate.conv import bare_members
from ..annotate.graph import Graph, is_constant
from ..constants import array_of
from ..ops import attrs_of, is_op
from .collect import edge_of
from .qparams import QParams
from .replace import replace_observers
from .weights import quantize_weight, weight_scales

if TYPE_CHECKING:
    from .collect import Edge
    from .replace import Replacer


@dataclass(frozen=True)
class InsertQDQ:
    """The pass that turns an annotated module into the QDQ hub.

    qparams: edge number of a group (see annotate/quantization_spec.py) -> its qparams."""

    qparams: Mapping[int, QParams]

    def __call__(self, mod: IRModule) -> IRModule:
        """The annotated module with quantize and dequantize for every octet.observe: the hub. Raises KeyError for a
        group without qparams."""
        layers = _layers(mod)

        def replace(walk: "Replacer", observe: relax.Call, x: relax.Expr) -> relax.Expr:
            edge = edge_of(observe)
            if edge.spec == "weight":
                return self._weight(walk, edge, array_of(observe.args[0]), *layers[edge.edge])
            qparams = self.qparams[edge.group]
            scale, zero_point = relax.const(np.float32(qparams.scale)), relax.const(np.int8(qparams.zero_point))
            if edge.scheme == "symmetric" and edge.made and edge.source and not _never_negative(walk.definition(x)):
                low, high = qparams.range
                x = walk.derive(relax.op.clip(x, low, high), f"{edge.tensor}.clip")
            q = walk.derive(
                relax.op.quantize(x, scale, zero_point, axis=-1, out_dtype="int8"), f"{edge.tensor}.quantize"
            )
            return walk.derive(relax.op.dequantize(q, scale, zero_point, axis=-1), f"{edge.tensor}.dequantize")

        return replace_observers(mod, replace)

    def _weight(
        self, walk: "Replacer", edge: "Edge", weight: np.ndarray, data_group: int, bias: np.ndarray | None
    ) -> relax.Expr:
        scales = weight_scales(weight, edge.axis, self.qparams[data_group].scale, bias)
        q = relax.const(quantize_weight(weight, scales, edge.axis))
        if edge.axis < 0:
            scales = scales.reshape(())
        zero_points = np.zeros(scales.shape, np.int8)
        call = relax.op.dequantize(q, relax.const(scales), relax.const(zero_points), axis=edge.axis)
        return walk.derive(call, f"{edge.tensor}.dequantize")


def _never_negative(value: relax.Expr) -> bool:
    return is_op(value, "relax.nn.relu") or (is_op(value, "relax.clip") and float(value.args[1].value) >= 0)


def _layers(mod: IRModule) -> dict[int, tuple[int, np.ndarray | None]]:
    """edge of a weight -> (group of its layer's data, the layer's bias or None)."""
    graph = Graph(mod)
    layers = {}
    for node in graph.nodes:
        observe = graph.producer.get(node.inputs[1]) if is_op(node.value, "relax.nn.conv2d", "relax.matmul") else None
        if observe is None or not is_op(observe.value, "octet.observe") or edge_of(observe.value).spec != "weight":
            continue
        data = attrs_of(graph.producer[node.inputs[0]].value)
        members = bare_members(graph, node)
        biases = [array_of(x) for member in members[1:] for x in member.inputs if is_constant(x)]
        layers[edge_of(observe.value).edge] = (data["group"], biases[0].reshape(-1) if biases else None)
    return layers
