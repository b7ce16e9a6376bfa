"""octet.resize2d."""

from ....targets.cuda.interpolate import Interpolation, interpolate
from ....targets.cuda.layout import packed
from ... import ops


def resize(call, ctx):
    attrs, value = ops.attrs_of(call), ctx.packed(call.args[0])
    result = packed((int(extent) for extent in call.ty.shape.values), "int8")
    problem = Interpolation(*value.layout.image, value.layout.stride, *result.shape[2:], attrs["row_units"], attrs["column_units"], attrs["data_zero_point"],
                            attrs["out_zero_point"], attrs["clip_min"], attrs["clip_max"], float(attrs["multiplier"]))  # fmt: skip
    return ctx.emit(interpolate(problem), [value, *(ctx.constant(arg) for arg in call.args[1:])], result, call.op.name)


RULES = {"octet.resize2d": resize}
