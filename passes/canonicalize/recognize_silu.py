"""x * sigmoid(x) = silu(x). Needs RecognizeUnary."""

from dataclasses import dataclass

from tvm import relax
from tvm.ir import IRModule

from .. import ops
from ..rewriting.rule import RewriteGraph, rewrite


@dataclass(frozen=True)
class RecognizeSilu:
    """Finds SiLU (Swish) as exporters spell it out."""

    def __call__(self, mod: IRModule) -> IRModule:
        """The module with an octet.unary of kind silu for every product of a value and its sigmoid."""
        return rewrite(mod, _recognize)


def _recognize(graph: RewriteGraph, call: relax.Call, var: relax.Var) -> relax.Expr | None:
    if not ops.is_op(call, "relax.multiply"):
        return None
    for x, gate in (call.args, reversed(call.args)):
        sigmoid = graph.unary(gate, "sigmoid")
        if sigmoid is not None and sigmoid.args[0].same_as(x):
            return ops.call("octet.unary", [x], kind="silu")
    return None
