"""The hub of a network that comes quantised: its own quantizers stay, and its layers get the integers of their weights
back. Nothing is calibrated.

    conv2d(R.dequantize(q), const) -> conv2d(R.dequantize(q), R.dequantize(const int8))
            where the constant lies on a grid of 8 bits, the file's own if it can be
    conv2d(R.dequantize(q), const) -> conv2d(R.dequantize(concat(q, q)), R.dequantize([a, b]))
            where its steps a + b need two: |a|, |b| <= 127
    matmul(f(R.dequantize(q)), ..) -> matmul(R.dequantize(R.quantize(f(R.dequantize(q)))))
            where f only moves data, of the same scale
Must run on canonical modules. What the file computes in float stays in float.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from tvm import IRModule, relax

from ..annotate.conv import bare_members
from ..annotate.graph import Graph as Nodes, is_constant
from ..annotate.recipe import Recipe
from ..constants import array_of
from ..operators.registry import operators
from ..ops import attrs_of, is_op
from ..rewriting.forward import Forward
from ..rewriting.function import replace_main
from ..rewriting.grids import file_scales, grids_of
from ..running import apply, unwatched
from .grid import grid_scales
from .quantize import Quantized

if TYPE_CHECKING:
    from ..annotate.graph import Graph, Node
    from ..frontend.model import Model
    from ..rewriting.dataflow_graph import DataflowGraph

_ONCE, _TWICE = 127, 254  # An int8 weight reaches 127 steps to either side, the sum of two 254.
_LAYERS = ("relax.nn.conv2d", "relax.matmul")
_MOVES = operators(lambda traits: traits.moves and (traits.view or traits.shrinks)) - {
    "relax.split"
}  # Operators of one operand that only move values make none of their own.


def given_hub(model: "Model") -> Quantized:
    """The hub of a canonical Model that comes quantised; its fp32 Model keeps the ranges of the quantizers, as files
    leave activations to them."""
    from ..pipeline import canonicalize

    with unwatched():
        fp32 = canonicalize(replace(model, module=RemoveQuantizers()(model.module), others=()))
        others = tuple(map(given_hub, model.others))
    fp32 = replace(fp32, others=tuple(other.model for other in others))
    return Quantized(apply(CompleteWeights(), model.module), fp32, Recipe(), (), {}, (), {}, others)


@dataclass(frozen=True)
class RemoveQuantizers:
    """R.dequantize(R.quantize(x, s, z), s, z) -> R.clip(x, (-128 - z) * s, (127 - z) * s)"""

    def __call__(self, mod: IRModule) -> IRModule:
        """The module in fp32 whose values have the ranges that the file's quantizers gave them."""
        return replace_main(mod, _Removal(mod["main"]).run())


class _Removal(Forward):
    def visit(self, var: relax.Var, value: relax.Expr) -> relax.Expr | None:
        pair = _pair(self.graph, value)
        if pair is None:
            return None
        x, scale, zero = pair
        return self.emit(
            relax.op.clip(self.new(x), float((-128 - zero) * scale), float((127 - zero) * scale)), var.name
        )


@dataclass(frozen=True)
class CompleteWeights:
    """The pass that gives layers the integers of their constant weights back, wherever the file quantises what they
    read."""

    def __call__(self, mod: IRModule) -> IRModule:
        """The module whose layers with constant weights read int8 ones wherever the file quantizes what they read."""
        return replace_main(mod, _Completion(mod).run())


class _Completion(Forward):
    def __init__(self, mod: IRModule) -> None:
        super().__init__(mod["main"])
        nodes = Nodes(mod)
        self._grids = grids_of(mod)
        self._bias = {node.var: _bias_of(nodes, node) for node in nodes.nodes if is_op(node.value, *_LAYERS)}

    def visit(self, var: relax.Var, value: relax.Expr) -> relax.Expr | None:
        if not is_op(value, *_LAYERS):
            return None
        args = [self._coded(arg) for arg in value.args]
        if is_constant(value.args[1]) and self._is_coded(args[0]):
            args[:2] = self._weighted(var, value, args[0])
        return self.emit(relax.Call(value.op, args, value.attrs, value.ty_args), var.name)

    def _coded(self, arg: relax.Expr) -> relax.Expr:
        """The operand, quantised again where it is a moved quantised tensor."""
        new, definition, moved = self.new(arg), self.graph.definition(arg), False
        while is_op(definition, *_MOVES):
            definition, moved = self.graph.definition(definition.args[0]), True
        if not moved or not is_op(definition, "relax.dequantize") or is_constant(definition.args[0]):
            return new
        scale, zero = definition.args[1:3]
        codes = self.derive(relax.op.quantize(new, scale, zero, axis=-1, out_dtype="int8"), f"{arg.name}.quantize")
        return self.derive(relax.op.dequantize(codes, scale, zero, axis=-1), f"{arg.name}.dequantize")

    def _is_coded(self, new: relax.Expr) -> bool:
        return is_op(self.definition(new), "relax.dequantize")

    def _weighted(self, var: relax.Var, value: relax.Expr, data: relax.Expr) -> tuple[relax.Expr, relax.Expr]:
        """(data, weight). Unsigned weights that reach beyond int8 are the sum of two, which the data, put twice, add up
        in one accumulator: exact, and twice the multiply-adds are still fewer cycles than float32's."""
        weight, axis = array_of(value.args[1]), 0 if is_op(value, "relax.nn.conv2d") else 1
        if weight.ndim != (4 if axis == 0 else 2):
            return data, value.args[1]
        scales = self._scales(weight, axis, _ONCE)
        if scales is not None:
            return data, self._coded_weight(var, weight, scales, axis, data)
        scales = self._scales(weight, axis, _TWICE) if axis == 1 or attrs_of(value)["groups"] == 1 else None
        if scales is None or np.abs(_steps(weight, scales, axis)).max(initial=0) > _TWICE:
            return data, value.args[1]
        first = np.clip(_steps(weight, scales, axis), -_ONCE, _ONCE)
        both = np.concatenate([first, _steps(weight, scales, axis) - first], axis=1 - axis)
        return self._twice(var, data, 1 if axis == 0 else -1), self._coded_weight(
            var, both * _per_channel(scales, axis, weight.ndim), scales, axis, data
        )

    def _scales(self, weight: np.ndarray, axis: int, most: int) -> np.ndarray | None:
        """The file's own, or of the grid that the values lie on; None where there is none."""
        scales = file_scales(weight, axis, self._grids, most)
        return grid_scales(weight, axis, most) if scales is None else scales

    def _coded_weight(
        self, var: relax.Var, weight: np.ndarray, scales: np.ndarray, axis: int, data: relax.Expr
    ) -> relax.Expr:
        scales = _with_zeros(scales, float(array_of(self.definition(data).args[1])), self._bias[var])
        steps = _steps(weight, scales, axis).astype(np.int8)
        call = relax.op.dequantize(
            relax.const(steps), relax.const(scales), relax.const(np.zeros(scales.shape, np.int8)), axis=axis
        )
        return self.derive(call, f"{var.name}.weight")

    def _twice(self, var: relax.Var, data: relax.Expr, axis: int) -> relax.Expr:
        """Dequantised data beside itself, quantised again with its own scale."""
        scale, zero = self.definition(data).args[1:3]
        both = self.derive(relax.op.concat([data, data], axis=axis), f"{var.name}.twice")
        codes = self.derive(
            relax.op.quantize(both, scale, zero, axis=-1, out_dtype="int8"), f"{var.name}.twice.quantize"
        )
        return self.derive(relax.op.dequantize(codes, scale, zero, axis=-1), f"{var.name}.twice.dequantize")


def _steps(weight: np.ndarray, scales: np.ndarray, axis: int) -> np.ndarray:
    return np.rint(weight / _per_channel(np.where(scales > 0, scales, np.float32(1)), axis, weight.ndim))


def _per_channel(scales: np.ndarray, axis: int, rank: int) -> np.ndarray:
    return scales.reshape([-1 if i == axis else 1 for i in range(rank)])


def _with_zeros(scales: np.ndarray, data_scale: float, bias: np.ndarray | None) -> np.ndarray:
    """A channel of zeros takes a scale that resolves its bias."""
    needed = np.zeros(len(scales)) if bias is None else np.abs(bias.astype(np.float64)) / (data_scale * 2.0**20)
    return np.where(scales > 0, scales, np.where(needed > 0, needed, 1.0)).astype(np.float32)


def _bias_of(nodes: "Graph", node: "Node") -> np.ndarray | None:
    members = bare_members(nodes, node)
    found = [array_of(x) for member in members[1:] for x in member.inputs if is_constant(x)]
    return found[0].reshape(-1) if found else None


def _pair(graph: "DataflowGraph", value: relax.Expr) -> tuple[relax.Var, float, int] | None:
    """(x, scale, zero point) of a dequantised quantization, else None."""
    codes = graph.definition(value.args[0]) if is_op(value, "relax.dequantize") else None
    if not is_op(codes, "relax.quantize"):
        return None
    return codes.args[0], float(graph.constant(codes.args[1])), int(graph.constant(codes.args[2]))
