"""R.sigmoid(x), R.tanh(x), R.nn.leakyrelu(x), R.nn.gelu(x), ... = octet.unary(x, kind=...). Only float32."""

from dataclasses import dataclass

from tvm.ir import Call, IRModule

from .. import ops
from .graph import is_float, rewrite

_KINDS = {
    "relax.sigmoid": "sigmoid",
    "relax.tanh": "tanh",
    "relax.exp": "exp",
    "relax.log": "log",
    "relax.sqrt": "sqrt",
    "relax.rsqrt": "rsqrt",
    "relax.erf": "erf",
    "relax.abs": "abs",
    "relax.sin": "sin",
    "relax.cos": "cos",
    "relax.floor": "floor",
    "relax.ceil": "ceil",
    "relax.round": "round",
    "relax.sign": "sign",
    "relax.nn.silu": "silu",
    "relax.nn.gelu": "gelu",
    "relax.nn.gelu_tanh": "gelu_tanh",
}


@dataclass(frozen=True)
class RecognizeUnary:
    """One operator for all scalar functions, whatever Relax calls them."""

    def __call__(self, mod: IRModule) -> IRModule:
        return rewrite(mod, _recognize)


def _recognize(graph, call, var):
    if not isinstance(call, Call) or not is_float(var):
        return None
    if ops.is_op(call, "relax.nn.leakyrelu"):
        return ops.call("octet.unary", [call.args[0]], kind="leaky_relu", alpha=float(call.attrs.alpha))
    if not ops.is_op(call, *_KINDS):
        return None
    return ops.call("octet.unary", [call.args[0]], kind=_KINDS[call.op.name])
