"""Convolutions and linear layers: which kernel takes them, and its constants."""

from collections.abc import Callable
from dataclasses import asdict, replace
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from ....targets.seams import Attrs
from ....targets.tuned import words
from ....targets.x86.conv.choose import conv_kernel
from ....targets.x86.conv.left_sums import with_checksum
from ....targets.x86.conv.problem import ConvProblem, Epilogue, TableEpilogue
from ....targets.x86.layout import Layout
from ....targets.x86.workload import workload_of
from ... import ops
from ...ops import shape_of
from .spread_columns import spread_columns, spreads

if TYPE_CHECKING:
    from tvm import relax

    from ....targets.x86.conv.choose import ChosenConv
    from .context import CpuContext
    from .value import Value

# A float image of so few channels is read as it is: in vectors of 16 channels it would be mostly padding.
PLANAR_CHANNELS = 4


def conv2d(call: "relax.Call", ctx: "CpuContext", table: np.ndarray | None = None) -> "Value":
    """Lowers octet.conv2d -> depthwise, tile (AMX) or vector kernel. table: int8[256] of an octet.table behind it
    (fusion.py)."""
    attrs = ops.attrs_of(call)
    data = ctx.value(call.args[0])
    n, c, h, w = data.layout.shape
    planar = (
        data.layout.kind == "plain" and data.layout.dtype == "float32" and c <= PLANAR_CHANNELS and attrs["groups"] == 1
    )
    if not planar:
        data = ctx.packed(call.args[0])
    weight = ctx.constant(call.args[1])
    kernel, strides, padding, dilation = weight.shape[2:], attrs["strides"], attrs["padding"], attrs["dilation"]
    turned = w == kernel[1] == 1 and h > 1 and padding[1] == padding[3] == 0 and data.layout.dtype != "bfloat16"
    if turned:
        # A column lies in memory as a row, whose pixels share the weights that are loaded. (The order of bfloat16's
        # sums knows rows from columns.)
        h, w = w, h
        kernel, strides, padding, dilation = (
            kernel[::-1],
            strides[::-1],
            [padding[i] for i in (1, 0, 3, 2)],
            dilation[::-1],
        )
    as_images = (lambda weight: weight.transpose(0, 1, 3, 2)) if turned else (lambda weight: weight)
    if spreads(data.layout, weight.shape, attrs) and not turned:
        data = spread_columns(ctx, data, kernel[1], padding, attrs["data_zero_point"])
        n, c, h, w = data.layout.shape
        kernel, padding = (kernel[0], 1), (padding[0], 0, padding[2], 0)
        as_images = lambda weight: weight.transpose(0, 3, 2, 1)  # noqa: E731
    problem = ConvProblem(
        data.layout.dtype,
        n,
        c,
        h,
        w,
        weight.shape[0],
        tuple(kernel),
        tuple(strides),
        tuple(padding),
        tuple(dilation),
        attrs["groups"],
        attrs.get("data_zero_point", 0),
        _epilogue(call, attrs),
        planar,
    )
    return _emit(call, ctx, data, problem, table, as_images)


def dense(call: "relax.Call", ctx: "CpuContext", table: np.ndarray | None = None) -> "Value":
    """Lowers octet.dense: a convolution with one pixel per row of the data."""
    data = ctx.packed(call.args[0])
    attrs = ops.attrs_of(call)
    rows, inputs = prod(data.layout.shape[:-1]), data.layout.shape[-1]
    as_rows = np.asarray if str(call.args[1].ty.dtype) == "int8" else np.transpose  # Floats come as [K, N].
    problem = ConvProblem(
        data.layout.dtype,
        rows,
        inputs,
        1,
        1,
        shape_of(call)[-1],
        (1, 1),
        (1, 1),
        (0, 0, 0, 0),
        (1, 1),
        1,
        attrs.get("data_zero_point", 0),
        _epilogue(call, attrs),
    )
    return _emit(call, ctx, data, problem, table, lambda weight: as_rows(weight)[:, :, None, None])


def _layout(call: "relax.Call") -> Layout:
    shape = shape_of(call)
    return Layout("nhwc" if len(shape) == 4 else "rows", shape, str(call.ty.dtype))


def _residual(call: "relax.Call") -> "relax.Var | None":
    """The residual operand: it follows bias and, for int8, multiplier."""
    first = 3 if str(call.args[1].ty.dtype) == "float32" else 4
    return call.args[first] if len(call.args) > first else None


def _epilogue(call: "relax.Call", attrs: Attrs) -> Epilogue:
    return Epilogue(
        attrs["out_dtype"],
        attrs.get("out_zero_point", 0),
        attrs["clip_min"],
        attrs["clip_max"],
        _residual(call) is not None,
        attrs.get("residual_zero_point", 0),
        attrs.get("residual_multiplier", 0.0),
    )


def _behind(problem: ConvProblem, table: np.ndarray) -> tuple[ConvProblem, np.ndarray]:
    """The problem with a table, and that table: what the layer clips, the table clips."""
    e = asdict(problem.epilogue)
    index = np.arange(-128, 128).clip(int(e["clip_min"]), int(e["clip_max"])) + 128
    return replace(problem, epilogue=TableEpilogue(**e | {"clip_min": -128, "clip_max": 127})), table[index]


def _emit(
    call: "relax.Call",
    ctx: "CpuContext",
    data: "Value",
    problem: ConvProblem,
    table: np.ndarray | None,
    as_images: Callable[[np.ndarray], np.ndarray] | Callable[[Any], Any],
) -> "Value":
    """Emits the kernel of a convolution. as_images: the layer's weights as OIHW."""
    multiplier = ctx.constant(call.args[3]) if problem.dtype == "int8" else None
    workload, name, dot = workload_of(problem), call.op.name, ctx.spec.dot
    if table is not None:
        (problem, table), name = _behind(problem, table), name + " + table"
    if ctx.watch is not None and ctx.watch.sums and problem.dtype == "int8":
        problem = with_checksum(problem)
    tuned = ctx.tuned(workload) if ctx.tuned is not None else None

    def made(weight: np.ndarray, bias: np.ndarray) -> "ChosenConv":
        return conv_kernel(
            problem, dot, as_images(weight), bias, multiplier, tuned.schedule if tuned is not None else None, table
        )

    kernel = made(*map(ctx.constant, call.args[1:3]))
    if ctx.packing is not None:
        ctx.packing[ctx.layer] = lambda weight, bias: made(weight, bias).constants
    notes = {
        "schedule": words(kernel.schedule),
        "source": tuned.source if tuned is not None else "default",
        "workload": workload.text,
    }
    residual = _residual(call)
    operands = [data, *kernel.constants] + ([ctx.packed(residual)] if residual is not None else [])
    return ctx.emit(
        kernel.func,
        operands,
        _layout(call),
        name,
        kernel.family,
        problem.multiply_adds,
        (kernel.workspace, data.layout.storage),
        notes,
        kernel.check,
    )


RULES = {"octet.conv2d": conv2d, "octet.dense": dense}
