"""What convolutions and linear layers share: integer weights, bias and multipliers, with the overflow proof."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from tvm import relax

from .. import ops
from ..ops import QMAX, QMIN
from . import overflow
from .bias import LIMIT, is_missed, on_grid
from .requantize import multiplier

if TYPE_CHECKING:
    from ..rewriting.dataflow_graph import DataflowGraph
    from .chain import Chain
    from .realize import Realizer
    from .requantize import TensorQParams

BIAS_LIMIT = 2.0**30  # A bias up to here leaves as much room again for the products.


@dataclass(frozen=True)
class Refused:
    """Why an operator stays in float."""

    reason: str


@dataclass(frozen=True)
class Weight:
    """A layer's int8 weights and their scales by output channel.

    values int8 [O, ...], scale float32 [O]."""

    values: np.ndarray
    scale: np.ndarray


def weight_of(graph: "DataflowGraph", expr: relax.Expr, channel_axis: int) -> Refused | Weight:
    """The Weight of a dequantised constant whose output channel is `channel_axis` (which becomes axis 0), or
    Refused."""
    call = graph.definition(expr)
    if not ops.is_op(call, "relax.dequantize"):
        if graph.is_constant(expr):
            return Refused(
                "its weights lie on no grid of 8 bits with a scale per output channel, as where the channels that it "
                "reads have scales of their own"
            )
        return Refused("its weights are not quantised")
    values, scale, zero_point = (graph.constant(arg) for arg in call.args)
    if values is None or scale is None or zero_point is None:
        return Refused("its weights are not constant")
    if values.dtype != np.int8 or np.any(zero_point):
        return Refused(
            f"its weights are {values.dtype} with zero point {np.ravel(zero_point)[0]}; int8 with zero point 0 is "
            "needed"
        )
    axis = ops.attrs_of(call)["axis"] % values.ndim
    if scale.size > 1 and axis != channel_axis:
        return Refused(
            f"its weights are quantised along axis {axis}, not along the output channel (axis {channel_axis})"
        )
    values = np.ascontiguousarray(np.moveaxis(values, channel_axis, 0))
    scale = np.broadcast_to(scale.reshape(-1), (values.shape[0],)).astype(np.float32)
    if not (np.all(np.isfinite(scale)) and np.all(scale > 0)):
        return Refused("a weight scale is not a positive finite number")
    return Weight(values, scale)


def widen_for_bias(weight: Weight, bias: np.ndarray, data_scale: float) -> Weight:
    """`weight` with the scale of a channel enlarged where its bias would not fit int32 (a channel that is almost zero).

    The weights of such a channel are requantised: what they lose is below 2^-24 of the bias per tap."""
    needed = np.abs(bias.astype(np.float64)) / (np.float64(np.float32(data_scale)) * BIAS_LIMIT)
    wide = needed > weight.scale
    if not wide.any():
        return weight
    scale = np.where(wide, needed, weight.scale).astype(np.float32)
    ratio = (weight.scale.astype(np.float64) / scale).reshape(-1, *[1] * (weight.values.ndim - 1))
    values = np.clip(np.rint(weight.values * np.where(ratio == 1.0, 1.0, ratio)), QMIN, QMAX).astype(np.int8)
    return Weight(values, scale)


def realize_linear(
    context: "Realizer",
    chain: "Chain",
    operator: str,
    weight: Refused | Weight,
    geometry: dict[str, int | list[int]],
    out: "TensorQParams | None",
) -> Refused:
    """Emits octet.conv2d / octet.dense for `chain`; `out` is the QParams of the result, None for a float32 result.

    weight: Weight or Refused; geometry: the attributes that only the operator has. Returns the new variable or
    Refused."""
    data = context.source(chain.call.args[0])
    if data is None:
        return Refused("its input is not quantised")
    if isinstance(weight, Refused):
        return weight
    residual = None
    if chain.residual is not None:
        residual = context.source(chain.residual)
        if residual is None:
            return Refused("the tensor that is added to its result is not quantised")
        if out is None:
            return Refused("its result is added in float")
    bias = np.zeros(len(weight.scale), np.float32) if chain.bias is None else chain.bias
    if not np.all(np.isfinite(bias)):
        return Refused("its bias is not finite")
    data_scale, zero_point = data.qparams.scale, data.qparams.zero_point
    weight = widen_for_bias(weight, bias, data_scale)
    step = np.float64(np.float32(data_scale)) * weight.scale.astype(np.float64)
    bias, rest = on_grid(bias, step)
    factors = multiplier([data_scale, weight.scale], 1.0 if out is None else out.scale)
    apart = np.abs(rest) * factors
    if out is not None and apart.max(initial=0.0) >= LIMIT:
        return Refused(
            f"a step of its sums is {factors[apart.argmax()]:.3g} of its result's in output channel {apart.argmax()}, "
            "and its bias lies between two of them"
        )
    attrs = {"residual_zero_point": 0, "residual_multiplier": 0.0}
    if residual is not None:
        assert out is not None  # A layer with a residual is requantised.
        attrs["residual_zero_point"] = residual.qparams.zero_point
        attrs["residual_multiplier"] = float(multiplier([residual.qparams.scale], out.scale))
    bound = overflow.prove(
        weight.values,
        bias,
        zero_point,
        None if out is None else factors,
        None if residual is None else (attrs["residual_zero_point"], attrs["residual_multiplier"]),
    )
    if isinstance(bound, str):
        return Refused(bound)
    low, high = (chain.low, chain.high) if out is None else out.bounds(chain.low, chain.high)
    missed = out is None and is_missed(context.graph, chain.root, rest, step)
    if missed:
        low, high = -np.inf, np.inf
    constants = [relax.const(value, str(value.dtype)) for value in (weight.values, bias.astype(np.int32), factors)]
    call = ops.call(
        operator,
        [data.value, *constants] + ([] if residual is None else [residual.value]),
        **geometry,
        **attrs,
        data_zero_point=zero_point,
        out_zero_point=0 if out is None else out.zero_point,
        clip_min=low,
        clip_max=high,
        out_dtype="float32" if out is None else "int8",
    )
    layer = context.emit_layer(call, chain.root, bound)
    if not missed:
        return layer
    left = (rest * step).astype(np.float32).reshape([-1, 1, 1] if operator == "octet.conv2d" else [-1])
    layer = context.emit_behind(relax.op.add(layer, relax.const(left)), chain.root)
    if (chain.low, chain.high) == (-np.inf, np.inf):
        return layer
    return context.emit_behind(relax.op.clip(layer, chain.low, chain.high), chain.root)
