"""Average pooling of a quantised tensor (maximum pooling only moves data: movement.py):

R.quantize(clip(R.nn.avg_pool2d(dq(x))))                  ->  octet.avg_pool2d(x)
R.quantize(clip(R.mean(dq(x), [2, 3], keepdims=True)))    ->  octet.avg_pool2d(x) over the whole image
"""

from typing import TYPE_CHECKING

from tvm import relax

from .. import ops
from ..ops import shape_of
from . import overflow
from .linear import Refused
from .requantize import multiplier

if TYPE_CHECKING:
    from .realize import Realizer
    from .requantize import TensorQParams


def resolved_padding(call: relax.Call) -> list[int]:
    """Padding [top, left, bottom, right] of a pooling call with the extra rows and columns of ceil mode added."""
    attrs = ops.attrs_of(call)
    padding = list(attrs["padding"])
    sizes, results = shape_of(call.args[0])[2:], shape_of(call)[2:]
    for axis, (size, result) in enumerate(zip(sizes, results)):
        reach = (result - 1) * attrs["strides"][axis] + attrs["dilation"][axis] * (attrs["pool_size"][axis] - 1) + 1
        padding[axis + 2] += max(0, reach - size - padding[axis] - padding[axis + 2])
    return padding


def realize_avg_pool(
    context: "Realizer", var: relax.Expr, low: float, high: float, out: "TensorQParams"
) -> Refused | relax.Expr | None:
    """`var` as octet.avg_pool2d; Refused, or None if it is no average over an image."""
    call = context.graph.definition(var)
    window = _window(call)
    if window is None:
        return None
    source = context.source(call.args[0])
    if source is None:
        return Refused("its input is not quantised")
    factor = float(multiplier([source.qparams.scale], out.scale))
    if not overflow.converts(overflow.largest_distance(source.qparams.zero_point) * factor):
        return Refused(f"its scale {source.qparams.scale:.3g} is too far from the result's {out.scale:.3g}")
    clip_min, clip_max = out.bounds(low, high)
    params = {"data_zero_point": source.qparams.zero_point, "multiplier": factor, "out_zero_point": out.zero_point}
    pooled = context.emit(
        ops.call("octet.avg_pool2d", [source.value], **window, **params, clip_min=clip_min, clip_max=clip_max), var.name
    )
    if shape_of(pooled) == shape_of(call):
        return pooled
    return context.emit(relax.op.reshape(pooled, shape_of(call)), var.name)


def _window(call: relax.Expr | None) -> dict[str, int | list[int]] | None:
    if ops.is_op(call, "relax.nn.avg_pool2d"):
        attrs = ops.attrs_of(call)
        if attrs["layout"] != "NCHW" or attrs["dilation"] != [1, 1]:
            return None
        kept = {key: attrs[key] for key in ("pool_size", "strides")}
        return kept | {"padding": resolved_padding(call), "count_include_pad": int(attrs["count_include_pad"])}
    if ops.is_op(call, "relax.mean"):
        shape, axes = shape_of(call.args[0]), ops.attrs_of(call)["axis"]
        if len(shape) == 4 and axes is not None and sorted(axis % 4 for axis in axes) == [2, 3]:
            return {"pool_size": list(shape[2:]), "strides": [1, 1], "padding": [0, 0, 0, 0], "count_include_pad": 0}
    return None
