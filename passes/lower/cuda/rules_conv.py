"""Rules that lower octet.conv2d and octet.dense to the kernels of targets/cuda/kernels/conv.py."""

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from ....targets.cuda.kernels.conv import Conv, Epilogue, conv_kernel
from ....targets.cuda.kernels.conv_schedule import Tile, tile_for
from ....targets.cuda.kernels.window import ROW
from ....targets.cuda.layout import packed, plain
from ....targets.cuda.workload import workload_of
from ....targets.seams import Attrs
from ... import ops
from ...ops import shape_of
from .context import notes

if TYPE_CHECKING:
    from tvm import relax

    from .context import CudaContext, CudaTensor, Storage


def conv2d(call: "relax.Call", ctx: "CudaContext", table: np.ndarray | None = None) -> "CudaTensor | None":
    """Lowers octet.conv2d on int8 data; the result is int8, packed, or float32, plain. table: int8 [256] that int8
    results are looked up in."""
    if str(call.args[0].ty.dtype) != "int8":
        return None
    attrs = ops.attrs_of(call)
    data, weight = ctx.packed(call.args[0]), ctx.constant(call.args[1])
    (images, height, width), groups = data.layout.image, attrs["groups"]
    shape = shape_of(call)
    window = (
        images,
        height,
        width,
        *shape[2:],
        *weight.shape[2:],
        *attrs["strides"],
        *attrs["padding"][:2],
        *attrs["dilation"],
    )
    return _emit(call, ctx, data, weight, attrs, window, groups, table)


def dense(call: "relax.Call", ctx: "CudaContext", table: np.ndarray | None = None) -> "CudaTensor | None":
    """A convolution with one pixel per row of the data. table: as of `conv2d`."""
    if str(call.args[0].ty.dtype) != "int8":
        return None
    attrs = ops.attrs_of(call)
    data, weight = ctx.packed(call.args[0]), ctx.constant(call.args[1])
    rows = prod(data.layout.shape[:-1])
    return _emit(call, ctx, data, weight[:, :, None, None], attrs, (rows, *ROW), 1, table)


def heads(
    call: "relax.Call",
    ctx: "CudaContext",
    weight: np.ndarray,
    bias: np.ndarray,
    multiplier: np.ndarray,
    turned: tuple[int, int] | None,
) -> "Storage":
    """The storage of a linear layer's int8 result, with these constants instead of the call's. turned: None, or
    (columns, rows of an image): of every row so many columns, then of every image the columns behind those, the rows of
    each together."""
    attrs, data, outputs = ops.attrs_of(call), ctx.packed(call.args[0]), weight.shape[0]
    problem = Conv(
        *(
            prod(data.layout.shape[:-1]),
            *ROW,
            data.layout.stride,
            outputs,
            1,
            weight.shape[1],
            outputs,
            attrs["data_zero_point"],
        ),
    )
    epilogue = _epilogue(attrs, False)
    workload = workload_of(problem, epilogue)
    found = ctx.found(workload)
    schedule = found.schedule if found is not None else None
    if turned is not None:
        if not isinstance(schedule, Tile) or turned[0] % schedule.columns:
            schedule, found = tile_for(problem, ctx.spec, columns=turned[0]), None
        problem = replace(problem, out_stride=turned[0])
    kernel = conv_kernel(
        problem, epilogue, weight[:, :, None, None], bias, multiplier, ctx.spec, schedule, turned=turned
    )
    result = plain((problem.images, outputs), "int8")
    return ctx.emit(
        kernel.kernel,
        [data, *kernel.constants, data],
        result,
        call.op.name,
        problem.macs,
        notes=notes(workload, kernel.schedule, found),
    ).storage


def _emit(
    call: "relax.Call",
    ctx: "CudaContext",
    data: "CudaTensor",
    weight: np.ndarray,
    attrs: Attrs,
    window: Sequence[int],
    groups: int,
    table: np.ndarray | None,
) -> "CudaTensor":
    layout = packed(shape_of(call), str(call.ty.dtype))
    outputs, channels = weight.shape[:2]
    out_stride = layout.stride if layout.kind == "packed" else outputs
    problem = Conv(
        *(*window, data.layout.stride, out_stride, groups, channels, outputs // groups, attrs["data_zero_point"])
    )
    residual = call.args[4] if len(call.args) > 4 else None
    epilogue = _epilogue(attrs, residual is not None)
    workload = workload_of(problem, epilogue)
    found = ctx.found(workload)
    bias, multiplier = (ctx.constant(arg) for arg in call.args[2:4])
    name = call.op.name
    if table is not None:
        name += " + table"
        (epilogue, table) = _unclipped(epilogue, table)
    kernel = conv_kernel(
        problem, epilogue, weight, bias, multiplier, ctx.spec, found.schedule if found is not None else None, table
    )
    added = data if residual is None else ctx.packed(residual)
    noted = notes(workload, kernel.schedule, found)
    return ctx.emit(kernel.kernel, [data, *kernel.constants, added], layout, name, problem.macs, notes=noted)


def _unclipped(epilogue: Epilogue, table: np.ndarray) -> tuple[Epilogue, np.ndarray]:
    """What the layer clips, the table clips."""
    return replace(epilogue, low=-128, high=127), table[np.arange(-128, 128).clip(epilogue.low, epilogue.high) + 128]


def _epilogue(attrs: Attrs, residual: bool) -> Epilogue:
    if attrs["out_dtype"] == "float32":
        return Epilogue(True, 0, 0, 0, float(attrs["clip_min"]), float(attrs["clip_max"]), False, 0, 0.0)
    return Epilogue(
        False,
        attrs["out_zero_point"],
        attrs["clip_min"],
        attrs["clip_max"],
        0.0,
        0.0,
        residual,
        attrs.get("residual_zero_point", 0),
        float(attrs.get("residual_multiplier", 0.0)),
    )


RULES = {"octet.conv2d": conv2d, "octet.dense": dense}
