"""log(exp(x) + 1) = softplus(x);  x * tanh(softplus(x)) = mish(x). Needs RecognizeUnary."""

from dataclasses import dataclass

from tvm import relax
from tvm.ir import IRModule

from .. import ops
from ..rewriting.rule import RewriteGraph, rewrite
from .channel import one_value
from .questions import constant


@dataclass(frozen=True)
class RecognizeMish:
    """Finds Softplus and Mish as exporters spell them out."""

    def __call__(self, mod: IRModule) -> IRModule:
        """The module with an octet.unary of kind softplus or mish for every spelling of it."""
        return rewrite(mod, _recognize)


def _recognize(graph: RewriteGraph, call: relax.Call, var: relax.Var) -> relax.Expr | None:
    if ops.is_op(call, "octet.unary") and ops.attrs_of(call)["kind"] == "log":
        return _softplus(graph, call)
    if not ops.is_op(call, "relax.multiply"):
        return None
    for x, gate in (call.args, reversed(call.args)):
        tanh = graph.unary(gate, "tanh")
        softplus = graph.unary(tanh.args[0], "softplus") if tanh is not None else None
        if softplus is not None and softplus.args[0].same_as(x):
            return ops.call("octet.unary", [x], kind="mish")
    return None


def _softplus(graph: RewriteGraph, log: relax.Expr) -> relax.Expr | None:
    total = graph.match(log.args[0], "relax.add")
    if total is None or one_value(constant(total.args[1])) != 1.0:
        return None
    exp = graph.unary(total.args[0], "exp")
    return None if exp is None else ops.call("octet.unary", [exp.args[0]], kind="softplus")
