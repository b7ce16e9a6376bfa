"""Linear interpolation of a quantised image, where its weights are whole multiples of one unit:

R.quantize(clip(R.image.resize2d(dq(x), linear)))  ->  octet.resize2d(x, rows, columns)
        multiplier = s_x / (s_y * row_units * column_units)
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from tvm import relax

from .. import ops
from ..operators.images import LARGEST_UNIT
from ..ops import shape_of
from ..referee.resize import whole_taps
from . import overflow
from .linear import Refused

if TYPE_CHECKING:
    from .realize import Realizer
    from .requantize import TensorQParams


def realize_resize(
    context: "Realizer", var: relax.Expr, low: float, high: float, out: "TensorQParams"
) -> Refused | relax.Expr | None:
    """`var` as octet.resize2d; Refused, or None if it is no linear interpolation."""
    call = context.graph.definition(var)
    if not ops.is_op(call, "relax.image.resize2d") or ops.attrs_of(call)["method"] != "linear":
        return None
    source = context.source(call.args[0])
    if source is None:
        return Refused("its input is not quantised")
    taps = integer_taps(call)
    if taps is None:
        return Refused(f"its weights are no multiples of one unit from 1 to 1/{LARGEST_UNIT}")
    (rows, row_units), (columns, column_units) = taps
    units = row_units * column_units
    factor = float(
        np.float32(np.float64(np.float32(source.qparams.scale)) / (np.float64(np.float32(out.scale)) * units))
    )
    if not overflow.converts(overflow.largest_distance(source.qparams.zero_point) * units * factor):
        return Refused(f"its scale {source.qparams.scale:.3g} is too far from the result's {out.scale:.3g}")
    clip_min, clip_max = out.bounds(low, high)
    zero_points = {"data_zero_point": source.qparams.zero_point, "out_zero_point": out.zero_point}
    call = ops.call(
        "octet.resize2d",
        [source.value, relax.const(rows), relax.const(columns)],
        row_units=row_units,
        column_units=column_units,
        multiplier=factor,
        clip_min=clip_min,
        clip_max=clip_max,
        **zero_points,
    )
    return context.emit(call, var.name)


def integer_taps(call: relax.Expr) -> Any:
    """((taps, unit) of the rows, the same of the columns) of a R.image.resize2d, or None."""
    attrs = ops.attrs_of(call)
    if attrs["layout"] != "NCHW" or any(float(v) != 0.0 for v in attrs.get("roi", [])):
        return None
    mode = attrs["coordinate_transformation_mode"]
    taps = tuple(whole_taps(size, result, mode) for size, result in zip(shape_of(call.args[0])[2:], shape_of(call)[2:]))
    return None if None in taps else taps
