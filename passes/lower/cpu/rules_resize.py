"""Resampling of packed images: nearest neighbour, between two or four pixels, at places that are computed."""

from typing import TYPE_CHECKING

from ....targets.x86.windows.resize import ResizeProblem, resize_linear
from ....targets.x86.windows.resize_integer import IntegerResizeProblem, resize_integer
from ....targets.x86.windows.sample import SampleProblem, sample_linear
from ... import ops
from ...referee.resize import linear_taps, nearest_indices
from .rules_movement import gathered, layouts_of

if TYPE_CHECKING:
    from tvm import relax

    from .context import CpuContext
    from .value import Value


def resize(call: "relax.Call", ctx: "CpuContext") -> "Value | None":
    """Lowers resizes: nearest neighbour of any type, linear of float32."""
    source, target = layouts_of(call)
    attrs = ops.attrs_of(call)
    if source is None or attrs["layout"] != "NCHW" or any(float(v) != 0.0 for v in attrs.get("roi", [])):
        return None
    mode = attrs["coordinate_transformation_mode"]
    if mode not in ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "tf_half_pixel_for_nn"):
        return None
    sizes = list(zip(source.shape[2:], target.shape[2:]))
    if attrs["method"] == "nearest_neighbor":
        rows, columns = (
            nearest_indices(size, result, mode, attrs["rounding_method"]).tolist() for size, result in sizes
        )
        return gathered(call, ctx, target, {1: rows, 2: columns})
    if attrs["method"] != "linear" or source.dtype != "float32":
        return None
    tables = [
        table.astype(dtype)
        for size, result in sizes
        for table, dtype in zip(linear_taps(size, result, mode), ("int32", "int32", "float32"))
    ]
    return ctx.emit(
        resize_linear(ResizeProblem(source, target)), [ctx.packed(call.args[0]), *tables], target, call.op.name
    )


def grid_sample(call: "relax.Call", ctx: "CpuContext") -> "Value | None":
    """R.image.grid_sample of images, between four pixels."""
    source, target = layouts_of(call)
    attrs = ops.attrs_of(call)
    known = attrs["layout"] == "NCHW" and attrs["method"] == "bilinear" and attrs["padding_mode"] in ("zeros", "border")
    if source is None or source.kind != "nhwc" or source.dtype != "float32" or not known:
        return None
    problem = SampleProblem(source, target, bool(attrs["align_corners"]), attrs["padding_mode"] == "border")
    operands = [ctx.packed(call.args[0]), ctx.plain(call.args[1])]
    return ctx.emit(sample_linear(problem), operands, target, call.op.name)


def resize_whole(call: "relax.Call", ctx: "CpuContext") -> "Value | None":
    """Lowers octet.resize2d, linear interpolation in whole numbers."""
    source, target = layouts_of(call)
    problem = IntegerResizeProblem(source, target, **ops.attrs_of(call))
    return ctx.emit(
        resize_integer(problem),
        [ctx.packed(call.args[0]), *(ctx.constant(arg).reshape(-1) for arg in call.args[1:])],
        target,
        call.op.name,
    )


RULES = {
    "relax.image.resize2d": resize,
    "relax.image.grid_sample": grid_sample,
    "octet.resize2d": resize_whole,
}
