"""ReleaseFloat: regions of the hub leave int8.

    f(R.dequantize(R.quantize(x)), R.dequantize(w int8))   ->   f(x, w float32)        in a released region, where x is computed in float
    the pair stays where x is computed in int8 for another region as well, and in front of every region that stays in int8

Runs on a hub. Weights and biases are the fp32 network's own; clips that only kept a tensor within its scale go. The result is a hub."""

from dataclasses import dataclass

import tvm
from tvm import relax

from .. import ops
from ..realize.chain import match_chain
from ..realize.graph import rebuild
from ..realize.rewriter import Rewriter, replace_main
from .regions import OUTSIDE, Regions, plain


@dataclass(frozen=True)
class ReleaseFloat:
    """floats: numbers of the regions that compute in float from now on, those that did before included. original: the canonical fp32 module that the hub was made from."""

    regions: Regions
    floats: frozenset[int]
    original: tvm.IRModule

    def __call__(self, mod):
        return replace_main(mod, _Releaser(self).run())


def originals(original: tvm.IRModule) -> dict[str, relax.Call]:
    """The operators of the fp32 network by plain name."""
    (block,) = original["main"].body.blocks
    return {plain(binding.var.name): binding.value for binding in block.bindings}


class _Releaser(Rewriter):
    def __init__(self, wanted):
        super().__init__(wanted.regions.graph.function)
        self.graph = wanted.regions.graph  # its variables are those that the regions name
        self._wanted, self._originals, self._values = wanted, originals(wanted.original), {}
        self._tensor_of = {real: tensor for tensor in wanted.regions.tensors for real in tensor.real}
        self._number = {var: number for number, members in enumerate(wanted.regions.members) for var in members}

    def run(self):
        for var, value in self.graph.bindings:
            released = self._number.get(var, OUTSIDE) in self._wanted.floats
            new = self._released(var, value) if released else rebuild(value, self._new)
            self._values[var] = new if isinstance(value, relax.Tuple) else self.emit(new, var.name)
        return self.finish(rebuild(self.graph.result, self._new))[0]

    def _new(self, expr):
        return self._values.get(expr, expr) if isinstance(expr, relax.Var) else expr

    def _released(self, var, value):
        """The operator on float operands and the fp32 network's constants."""
        if not isinstance(value, relax.Call):
            return rebuild(value, self._float)
        before = self._originals.get(plain(var.name))
        if before is None or not isinstance(before, relax.Call) or before.op != value.op:
            return rebuild(value, self._float)
        args = [old if isinstance(old, tvm.ir.GenericConst) else rebuild(arg, self._float) for old, arg in zip(before.args, value.args, strict=True)]
        return relax.Call(value.op, args, value.attrs, value.ty_args)

    def _float(self, expr):
        """An operand as a released region reads it: not rounded, where nothing has to round it."""
        tensor = self._tensor_of.get(expr) if isinstance(expr, relax.Var) else None
        if tensor is None or not self._exact(tensor):
            return self._new(expr)
        return self._new(self._without_clip(tensor.value))

    def _exact(self, tensor):
        """Whether the float tensor exists: an input, the result of a region in float, or of a layer that can hand out float32 and that no region reads in int8."""
        floats = self._wanted.floats
        if tensor.producer == OUTSIDE or tensor.producer in floats:
            return True
        if tensor.readers - floats - {OUTSIDE}:
            return False
        chain = match_chain(self.graph, self._without_clip(tensor.value))
        return chain is not None and chain.residual is None

    def _without_clip(self, value):
        """What stands before a clip that the fp32 network does not have."""
        call = self.graph.definition(value)
        inserted = isinstance(value, relax.Var) and ops.is_op(call, "relax.clip") and plain(value.name) not in self._originals
        return call.args[0] if inserted else value
