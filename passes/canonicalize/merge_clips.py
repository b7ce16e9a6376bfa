"""clip(clip(x, a, b), c, d) = clip(x, min(max(a, c), d), min(max(b, c), d)); relu(x) = clip(x, 0, inf); clip(x, 0, inf)
= relu(x)."""

from dataclasses import dataclass

from tvm import relax
from tvm.ir import IRModule

from .. import ops
from ..rewriting.rule import RewriteGraph, rewrite
from .clips import bounds, make_clip
from .questions import is_float


@dataclass(frozen=True)
class MergeClips:
    """Consecutive ReLU, ReLU6 and Clip become one, which a kernel's epilogue does for free."""

    def __call__(self, mod: IRModule) -> IRModule:
        """The module in which no clip reads another one's result."""
        return rewrite(mod, _merge)


def _merge(graph: RewriteGraph, call: relax.Call, var: relax.Var) -> relax.Expr | None:
    outer = bounds(call)
    if outer is None or not is_float(var):
        return None
    inner = bounds(graph.value(call.args[0]))
    if inner is None:
        single = make_clip(call.args[0], *outer)
        return None if ops.is_op(single, call.op.name) else single
    low, high = (min(max(bound, outer[0]), outer[1]) for bound in inner)
    return make_clip(graph.value(call.args[0]).args[0], low, high)
