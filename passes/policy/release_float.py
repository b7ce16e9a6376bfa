"""ReleaseFloat: regions of the hub leave int8.

    f(R.dequantize(R.quantize(x)), R.dequantize(w int8))   ->   f(x, w float32)
            in a released region, where x is computed in float
    the pair stays where x is computed in int8 for another region as well, and in front of every region that stays in
    int8

Runs on a hub. Weights and biases are the fp32 network's own; clips that only kept a tensor within its scale go. The
result is a hub."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import tvm
from tvm import relax

from .. import ops
from ..realize.chain import match_chain
from ..rewriting.dataflow_graph import rebuild_expr
from ..rewriting.forward import Forward
from ..rewriting.function import replace_main
from .regions import OUTSIDE, Regions

if TYPE_CHECKING:
    from .regions import RegionTensor


@dataclass(frozen=True)
class ReleaseFloat:
    """The pass that takes regions of the hub back to float.

    floats: numbers of the regions that compute in float from now on, those that did before included. original: the
    canonical fp32 module that the hub was made from."""

    regions: Regions
    floats: frozenset[int]
    original: tvm.IRModule

    def __call__(self, mod: tvm.IRModule) -> tvm.IRModule:
        """The hub in which the regions `floats` read and compute what the fp32 module does."""
        return replace_main(mod, _Releaser(self).run())


def originals(original: tvm.IRModule) -> dict[str, relax.Call]:
    """The operators of the fp32 network by identity."""
    (block,) = original["main"].body.blocks
    return {binding.var.name: binding.value for binding in block.bindings}


class _Releaser(Forward):
    def __init__(self, wanted: ReleaseFloat) -> None:
        super().__init__(wanted.regions.graph.function)
        self.graph = wanted.regions.graph  # The regions name the variables of this graph.
        self._wanted, self._originals = wanted, originals(wanted.original)
        self._tensor_of = {real: tensor for tensor in wanted.regions.tensors for real in tensor.real}
        self._number = {var: number for number, members in enumerate(wanted.regions.members) for var in members}

    def visit(self, var: relax.Var, value: relax.Expr) -> relax.Expr | None:
        return self._released(var, value) if self._number.get(var, OUTSIDE) in self._wanted.floats else None

    def _released(self, var: relax.Var, value: relax.Expr) -> relax.Expr:
        """The operator on float operands and the fp32 network's constants."""
        before = self._originals.get(var.name)
        if isinstance(value, relax.Tuple):
            return rebuild_expr(value, self._float)
        if not isinstance(value, relax.Call) or not isinstance(before, relax.Call) or before.op != value.op:
            return self.emit(rebuild_expr(value, self._float), var.name)
        args = [
            old if isinstance(old, tvm.ir.GenericConst) else rebuild_expr(arg, self._float)
            for old, arg in zip(before.args, value.args, strict=True)
        ]
        return self.emit(relax.Call(value.op, args, value.attrs, value.ty_args), var.name)

    def _float(self, expr: relax.Expr) -> relax.Expr:
        """An operand as a released region reads it: not rounded, where nothing has to round it."""
        tensor = self._tensor_of.get(expr) if isinstance(expr, relax.Var) else None
        if tensor is None or not self._exact(tensor):
            return self.new(expr)
        return self.new(self._without_clip(tensor.value))

    def _exact(self, tensor: "RegionTensor") -> bool:
        """Whether the float tensor exists: an input, the result of a region in float, or of a layer that can hand out
        float32 and that no region reads in int8."""
        floats = self._wanted.floats
        if tensor.producer == OUTSIDE or tensor.producer in floats:
            return True
        if tensor.readers - floats - {OUTSIDE}:
            return False
        chain = match_chain(self.graph, self._without_clip(tensor.value))
        return chain is not None and chain.residual is None

    def _without_clip(self, value: relax.Expr) -> relax.Expr:
        """What stands before a clip that the fp32 network does not have."""
        call = self.graph.definition(value)
        inserted = isinstance(value, relax.Var) and ops.is_op(call, "relax.clip") and value.name not in self._originals
        return call.args[0] if inserted else value
