"""R.sigmoid(x), R.tanh(x), R.nn.leakyrelu(x), R.nn.gelu(x), ... = octet.unary(x, kind=...). Only float32."""

from dataclasses import dataclass

from tvm import relax
from tvm.ir import Call, IRModule

from .. import ops
from ..operators.relax_operators import KINDS
from ..rewriting.rule import RewriteGraph, rewrite
from .questions import is_float

_KINDS = {name: kind for name, kind in KINDS.items() if kind != "softplus"}  # Relax's softplus has parameters.


@dataclass(frozen=True)
class RecognizeUnary:
    """The pass that writes all scalar functions, whatever Relax calls them, as one operator."""

    def __call__(self, mod: IRModule) -> IRModule:
        """The module with an octet.unary for every float32 function of one tensor that Relax has an operator for."""
        return rewrite(mod, _recognize)


def _recognize(graph: RewriteGraph, call: relax.Call, var: relax.Var) -> relax.Expr | None:
    if not isinstance(call, Call) or not is_float(var):
        return None
    if ops.is_op(call, "relax.nn.leakyrelu"):
        return ops.call("octet.unary", [call.args[0]], kind="leaky_relu", alpha=float(call.attrs.alpha))
    if not ops.is_op(call, *_KINDS):
        return None
    return ops.call("octet.unary", [call.args[0]], kind=_KINDS[call.op.name])
