"""Linear layers and products of two computed tensors:

R.quantize(clip(R.matmul(dq(x), dq(w)) + bias [+ dq(r)]), s, z) -> octet.dense(x, w', bias s32, multiplier[, r])
                                                                   w [K, N], w' [N, K]
R.quantize(clip(R.matmul(dq(a), dq(b))), s, z)                  -> octet.matmul(a, b)
"""

from typing import TYPE_CHECKING

from .. import ops
from ..ops import shape_of
from . import overflow
from .linear import Refused, realize_linear, weight_of
from .overflow import Bound
from .requantize import multiplier

if TYPE_CHECKING:
    from tvm import relax

    from .chain import Chain
    from .realize import Realizer
    from .requantize import TensorQParams


def realize_dense(context: "Realizer", chain: "Chain", out: "TensorQParams | None") -> "Refused | relax.Var | None":
    """The new variable or Refused; None if the chain is not a linear layer."""
    if not ops.is_op(chain.call, "relax.matmul"):
        return None
    weight = weight_of(context.graph, chain.call.args[1], 1)
    return realize_linear(context, chain, "octet.dense", weight, {}, out)


def realize_matmul(
    context: "Realizer", var: "relax.Expr", low: float, high: float, out: "TensorQParams | None"
) -> "Refused | relax.Expr | None":
    """`var` as octet.matmul; Refused, or None if `var` is not a matmul of two computed tensors. out None: float32
    result."""
    call = context.graph.definition(var)
    if not ops.is_op(call, "relax.matmul"):
        return None
    a, b = (context.source(arg) for arg in call.args)
    if a is None or b is None:
        return Refused("an operand is not quantised")
    if min(len(shape_of(arg)) for arg in call.args) < 2:
        return Refused("a matmul with a vector stays in float")
    factor = multiplier([a.qparams.scale, b.qparams.scale], 1.0 if out is None else out.scale)
    largest = (128 + abs(a.qparams.zero_point)) * (128 + abs(b.qparams.zero_point)) * shape_of(call.args[0])[-1]
    if largest >= overflow.ACCUMULATOR_LIMIT or (out is not None and not overflow.converts(largest * float(factor))):
        return Refused(
            f"an accumulator could reach {largest}, {largest * float(factor):.3g} when requantised (limit 2^31)"
        )
    low, high = (low, high) if out is None else out.bounds(low, high)
    call = ops.call(
        "octet.matmul",
        [a.value, b.value],
        multiplier=float(factor),
        a_zero_point=a.qparams.zero_point,
        b_zero_point=b.qparams.zero_point,
        out_zero_point=0 if out is None else out.zero_point,
        clip_min=low,
        clip_max=high,
        out_dtype="float32" if out is None else "int8",
    )
    return context.emit_layer(call, var, Bound(largest, 0.0 if out is None else largest * float(factor)))
