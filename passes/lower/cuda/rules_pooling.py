"""Maximum and average over windows of int8."""

from typing import TYPE_CHECKING

from ....targets.cuda.kernels.pooling import Pool, average_pool, max_pool
from ... import ops
from ...ops import shape_of

if TYPE_CHECKING:
    from tvm import relax

    from .context import CudaContext, CudaTensor


def maximum(call: "relax.Call", ctx: "CudaContext") -> "CudaTensor | None":
    """Lowers R.nn.max_pool2d of int8, with ceil mode and dilation."""
    attrs = ops.attrs_of(call)
    if str(call.ty.dtype) != "int8" or attrs["layout"] != "NCHW":
        return None
    value = ctx.packed(call.args[0])
    result = type(value.layout)("packed", shape_of(call), "int8")
    problem = Pool(
        *(
            *value.layout.image,
            *result.shape[2:],
            *attrs["pool_size"],
            *attrs["strides"],
            *attrs["padding"][:2],
            *attrs["dilation"],
            value.layout.stride,
        ),
    )
    return ctx.emit(max_pool(problem), [value], result, call.op.name)


def average(call: "relax.Call", ctx: "CudaContext") -> "CudaTensor":
    """Lowers octet.avg_pool2d, an average of int8 pixels."""
    attrs = ops.attrs_of(call)
    value = ctx.packed(call.args[0])
    result = type(value.layout)("packed", shape_of(call), "int8")
    problem = Pool(
        *(
            *value.layout.image,
            *result.shape[2:],
            *attrs["pool_size"],
            *attrs["strides"],
            *attrs["padding"][:2],
            1,
            1,
            value.layout.stride,
            attrs["data_zero_point"],
            attrs["out_zero_point"],
            attrs["clip_min"],
            attrs["clip_max"],
            float(attrs["multiplier"]),
            bool(attrs["count_include_pad"]),
        ),
    )
    return ctx.emit(average_pool(problem), [value], result, call.op.name)


RULES = {"relax.nn.max_pool2d": maximum, "octet.avg_pool2d": average}
