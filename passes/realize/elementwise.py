"""Elementwise operators between quantised tensors:

R.quantize(clip(dq(a) +- dq(b)))   ->  octet.add(a, b)          a_multiplier = s_a / s_y, b_multiplier = +-s_b / s_y
R.quantize(clip(dq(a) * dq(b)))    ->  octet.mul(a, b)          multiplier = s_a * s_b / s_y
R.quantize(clip(dq(x)))            ->  octet.requantize(x), or x itself where scale and zero point agree and nothing is
                                       cut off
"""

from typing import TYPE_CHECKING

from .. import ops
from ..ops import QMAX, QMIN
from . import overflow
from .linear import Refused
from .requantize import multiplier

if TYPE_CHECKING:
    from tvm import relax

    from .realize import Int8Source, Realizer
    from .requantize import TensorQParams


def requantize(
    context: "Realizer", source: "Int8Source", low: float, high: float, out: "TensorQParams", name: str
) -> "Refused | relax.Expr":
    """The tensor of `source` on the scale and zero point of `out`, clipped to [low, high] (real numbers)."""
    clip_min, clip_max = out.bounds(low, high)
    if source.qparams == out and (clip_min, clip_max) == (QMIN, QMAX):
        return source.value
    factor = float(multiplier([source.qparams.scale], out.scale))
    if not overflow.converts(overflow.largest_distance(source.qparams.zero_point) * factor):
        return Refused(f"its scale {source.qparams.scale:.3g} is too far from the result's {out.scale:.3g}")
    attrs = {"data_zero_point": source.qparams.zero_point, "multiplier": factor, "out_zero_point": out.zero_point}
    return context.emit(
        ops.call("octet.requantize", [source.value], **attrs, clip_min=clip_min, clip_max=clip_max), name
    )


def realize_add_mul(
    context: "Realizer", var: "relax.Expr", low: float, high: float, out: "TensorQParams"
) -> "Refused | None":
    """`var` as octet.add / octet.mul; Refused, or None if it is neither."""
    call = context.graph.definition(var)
    if not ops.is_op(call, "relax.add", "relax.subtract", "relax.multiply"):
        return None
    sources = [source for arg in call.args if (source := context.source(arg)) is not None]
    if len(sources) < len(call.args):
        return Refused("an operand is not quantised")
    params = [source.qparams for source in sources]
    clip_min, clip_max = out.bounds(low, high)
    shared = {"out_zero_point": out.zero_point, "clip_min": clip_min, "clip_max": clip_max}
    zero_points = {"a_zero_point": params[0].zero_point, "b_zero_point": params[1].zero_point}
    spreads = [overflow.largest_distance(param.zero_point) for param in params]
    if ops.is_op(call, "relax.multiply"):
        factor = float(multiplier([param.scale for param in params], out.scale))
        largest = spreads[0] * spreads[1] * factor
        operator, attrs = "octet.mul", {"multiplier": factor}
    else:
        factors = [float(multiplier([param.scale], out.scale)) for param in params]
        if ops.is_op(call, "relax.subtract"):
            factors[1] = -factors[1]
        largest = sum(spread * abs(factor) for spread, factor in zip(spreads, factors))
        operator, attrs = "octet.add", {"a_multiplier": factors[0], "b_multiplier": factors[1]}
    if not overflow.converts(largest):
        return Refused(f"the requantised value could reach {largest:.3g} (limit 2^31)")
    return context.emit(
        ops.call(operator, [source.value for source in sources], **zero_points, **attrs, **shared), var.name
    )
