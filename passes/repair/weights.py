"""The constant weights of a canonical network's layers, and networks with other ones in their place."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from tvm import IRModule, relax

from ..annotate.conv import bare_members
from ..annotate.graph import Graph, Node, is_constant
from ..calibrate.weights import quantize_weight, weight_scales
from ..constants import array_of
from ..ops import is_op
from ..rewriting.rule import rewrite

if TYPE_CHECKING:
    from ..rewriting.rule import RewriteGraph


Operand = tuple[
    int, int | None
]  # A pair is (the index of a binding, the position among its arguments), where None means its only constant.


@dataclass(frozen=True, eq=False)
class Layer:
    """A convolution or linear layer. index, name: of its binding. weight: OIHW, or [K, N]. bias: [channels] or None;
    bias_index: the binding that adds it. axis: the weight's output channel."""

    index: int
    name: str
    weight: np.ndarray
    bias: np.ndarray | None
    bias_index: int | None

    @property
    def is_conv(self) -> bool:
        """Whether its weights are OIHW, not [in, out]."""
        return self.weight.ndim == 4

    @property
    def axis(self) -> int:
        """The axis of the output channels in the weights."""
        return 0 if self.is_conv else 1

    @property
    def sums(self) -> bool:
        """Whether it only adds up what it reads, so that there is nothing to learn
        (canonicalize/divide_behind_product.py)."""
        return not self.is_conv and self.weight.shape[1] == 1 and bool((self.weight == 1).all())

    def is_weight(self, other: np.ndarray) -> bool:
        """Whether these are the layer's weights."""
        return self.is_alike(other) and np.array_equal(self.weight, other)

    def is_alike(self, other: np.ndarray) -> bool:
        """Whether they may be the layer's weights, judged by their shape and first rows."""
        return self.weight.shape == other.shape and np.array_equal(self.weight[:2], other[:2])


# Maps a layer to (its weights, its bias or None).
LayerValues = dict[int, tuple[np.ndarray, np.ndarray | None]]


def products(graph: Graph) -> list[Node]:
    """The convolutions and matmuls, in program order: the same ones in the fp32 graph and in its hub."""
    return [node for node in graph.nodes if is_op(node.value, "relax.nn.conv2d", "relax.matmul")]


def layers_of(mod: IRModule) -> dict[int, Layer]:
    """{index of a binding: its Layer}, in program order."""
    graph, found = Graph(mod), {}
    for node in graph.nodes:
        if (
            not is_op(node.value, "relax.nn.conv2d", "relax.matmul")
            or not is_constant(node.inputs[1])
            or is_constant(node.inputs[0])
        ):
            continue
        weight = array_of(node.inputs[1])
        if weight.ndim != (4 if is_op(node.value, "relax.nn.conv2d") else 2):
            continue
        members = bare_members(graph, node)
        bias = next((array_of(x).reshape(-1) for member in members[1:] for x in member.inputs if is_constant(x)), None)
        found[node.index] = Layer(node.index, node.name, weight, bias, members[1].index if bias is not None else None)
    return found


def quantized_layer(layer: Layer, axis: int, data_scale: float) -> tuple[np.ndarray, np.ndarray]:
    """(int8 weights, scales), as the hub has them; axis: -1 for one scale."""
    scales = weight_scales(layer.weight, axis, data_scale, layer.bias)
    return quantize_weight(layer.weight, scales, axis), scales


def dequantized(q: np.ndarray, scales: np.ndarray, axis: int) -> np.ndarray:
    """float32 of q * scale along `axis`."""
    shape = [1] * q.ndim
    if axis >= 0:
        shape[axis] = -1
    return q.astype(np.float32) * scales.reshape(shape).astype(np.float32)


def replace_constants(mod: IRModule, constants: Mapping[Operand, np.ndarray], dtype: type = np.float32) -> IRModule:
    """The network with other values for constant operands: {(index of the binding, position among its arguments): array
    of as many elements}.
    Position None stands for the only constant of a binding."""
    changed, nodes = {index for index, _ in constants}, Graph(mod).producer

    def replace(graph: "RewriteGraph", value: relax.Expr, var: relax.Var) -> relax.Call | None:
        index = nodes[var].index
        if index not in changed:
            return None
        args = [
            _replaced(arg, constants.get((index, i), constants.get((index, None))), dtype)
            for i, arg in enumerate(value.args)
        ]
        return relax.Call(value.op, args, value.attrs, value.ty_args, ret_ty=value.ty)

    return rewrite(mod, replace)


def _replaced(arg: relax.Expr, new: np.ndarray | None, dtype: type) -> relax.Expr:
    if new is None or not is_constant(arg) or not isinstance(arg.ty, relax.TensorType):
        return arg
    return relax.const(np.ascontiguousarray(new, dtype).reshape(array_of(arg).shape))
