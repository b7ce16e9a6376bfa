"""UseBfloat16: layers that are in float multiply in bfloat16 and add in float32.

    octet.conv2d(x, w, b[, r]) float32                    ->  octet.conv2d(octet.bfloat16(x), round(w), b[, r])
            without groups
    octet.dense(x, w, b[, r]) float32                     ->  octet.dense(octet.bfloat16(x), round(w), b[, r])
            x of rank 2 or 3
    octet.bfloat16(octet.conv2d(..) of bfloat16)          ->  octet.conv2d(..) with out_dtype "bfloat16"
            its only use; likewise dense

Runs after FuseFloat, where the recipe says floats = "bf16". Integer layers, grouped convolutions (the order of their
sums would depend on how a kernel shares its blocks among groups) and everything else stay as they are."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from tvm import relax

from ...targets.bfloat16 import BLOCK, FEW, round_to_bfloat16
from .. import ops
from ..ops import shape_of
from ..rewriting.dataflow_graph import DataflowGraph
from ..rewriting.forward import Forward
from ..rewriting.function import replace_main

if TYPE_CHECKING:
    import tvm


@dataclass(frozen=True)
class UseBfloat16:
    """The pass that lets float layers multiply bfloat16 and add up float32."""

    def __call__(self, mod: "tvm.IRModule") -> "tvm.IRModule":
        """The module whose float layers read bfloat16, each value rounded once."""
        mod = replace_main(mod, _Rounder(mod["main"]).run())
        return replace_main(mod, _Merger(mod["main"]).run())


def takes_bfloat16(graph: DataflowGraph, call: relax.Expr) -> bool:
    """Whether `call` is a float layer that has a bfloat16 form."""
    if not ops.is_op(call, "octet.conv2d", "octet.dense") or str(call.args[0].ty.dtype) != "float32":
        return False
    if (
        ops.is_op(call, "octet.conv2d")
        and ops.attrs_of(call)["groups"] != 1
        or ops.is_op(call, "octet.dense")
        and len(call.ty.shape.values) not in (2, 3)
    ):
        return False
    weight = graph.constant(call.args[1])
    if (
        weight is not None
        and shape_of(call.args[0])[_channels(call)] <= FEW
        and (weight.ndim == 2 or weight.shape[3] == 1 or ops.attrs_of(call)["dilation"][1] != 1)
    ):
        return False  # Blocks of 32 products would be nearly empty.
    return weight is not None and bool(np.isfinite(weight).all())


def _channels(layer: relax.Call) -> int:
    """The axis of a layer's data and result along which its channels lie."""
    return 1 if ops.is_op(layer, "octet.conv2d") else -1


class _Rounder(Forward):
    """The walk of the first two equations in the module's docstring."""

    def __init__(self, function: relax.Function) -> None:
        super().__init__(function)
        self._rounded: dict[relax.Var, relax.Expr] = {}

    def visit(self, var: relax.Var, call: relax.Expr) -> relax.Expr | None:
        if not takes_bfloat16(self.graph, call):
            return None
        data = self.new(call.args[0])
        if data not in self._rounded:
            self._rounded[data] = self.emit(ops.call("octet.bfloat16", [data]), var.name)
        weight = round_to_bfloat16(self.graph.constant(call.args[1])).astype(np.float32)
        operands = [self._rounded[data], relax.const(weight, "float32"), *map(self.new, call.args[2:])]
        return self.emit(relax.Call(call.op, operands, call.attrs), var.name)


class _Merger(Forward):
    """The walk of the third equation in the module's docstring."""

    def visit(self, var: relax.Var, call: relax.Expr) -> relax.Expr | None:
        if ops.is_op(call, "octet.bfloat16"):
            layer = self.graph.definition(call.args[0])
            return self.new(call.args[0]) if self._rounds(call.args[0], layer) else None
        users = [self.graph.definition(user) if user is not None else None for user in self.graph.users(var)]
        if len(users) == 1 and ops.is_op(users[0], "octet.bfloat16") and self._rounds(var, call):
            operands = [self.new(arg) for arg in call.args]
            return self.emit(
                ops.call(call.op.name, operands, **ops.attrs_of(call) | {"out_dtype": "bfloat16"}), var.name
            )
        return None

    def _rounds(self, var: relax.Var, layer: relax.Expr) -> bool:
        """Whether the layer can write bfloat16 itself: whole blocks, as kernels do not write padding."""
        is_layer = ops.is_op(layer, "octet.conv2d", "octet.dense") and str(layer.args[0].ty.dtype) == "bfloat16"
        return is_layer and self.graph.used_once(var) and shape_of(layer)[_channels(layer)] % BLOCK == 0
