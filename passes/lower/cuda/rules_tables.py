"""Operators that read tables of whole numbers: octet.resize2d and octet.softmax."""

from typing import TYPE_CHECKING

from ....targets.cuda.kernels.interpolate import Interpolation, interpolate
from ....targets.cuda.kernels.softmax_table import SoftmaxTable, softmax_table
from ....targets.cuda.layout import packed, row_layout
from ....targets.softmax_table import softmax_shift
from ... import ops
from ...ops import shape_of

if TYPE_CHECKING:
    from tvm import relax

    from .context import CudaContext, CudaTensor


def resize(call: "relax.Call", ctx: "CudaContext") -> "CudaTensor | None":
    """Lowers octet.resize2d, linear interpolation in whole numbers."""
    attrs, value = ops.attrs_of(call), ctx.packed(call.args[0])
    result = packed(shape_of(call), "int8")
    problem = Interpolation(
        *(
            *value.layout.image,
            value.layout.stride,
            *result.shape[2:],
            attrs["row_units"],
            attrs["column_units"],
            attrs["data_zero_point"],
            attrs["out_zero_point"],
            attrs["clip_min"],
            attrs["clip_max"],
            float(attrs["multiplier"]),
        ),
    )
    return ctx.emit(interpolate(problem), [value, *(ctx.constant(arg) for arg in call.args[1:])], result, call.op.name)


def softmax(call: "relax.Call", ctx: "CudaContext") -> "CudaTensor | None":
    """Lowers octet.softmax, whose exponentials come from a table."""
    attrs, tensor = ops.attrs_of(call), ctx.find(call.args[0])
    layout = row_layout(tensor.layout.shape)
    problem = SoftmaxTable(
        layout.pixels,
        layout.channels,
        layout.stride,
        attrs["levels"],
        softmax_shift(attrs["levels"]),
        attrs["out_zero_point"],
    )
    return ctx.emit(
        softmax_table(problem), [ctx.formed(tensor, layout), ctx.constant(call.args[1])], layout, call.op.name
    )


RULES = {"octet.resize2d": resize, "octet.softmax": softmax}
