"""Operators along axes of plain tensors: sums, means, extremes and their places, running sums, the first k."""

from math import prod
from typing import TYPE_CHECKING

import numpy as np

from ....targets.cuda.kernels import axis, floats, movement
from ....targets.cuda.layout import plain
from ... import ops
from ...ops import shape_of
from .context import Rule

if TYPE_CHECKING:
    from tvm import relax

    from ....targets.cuda.kernel import CudaKernel
    from ....targets.cuda.kernels.axis import Axis
    from .context import CudaContext, CudaTensor


def _dtype(expr: "relax.Expr") -> str:
    return str(expr.ty.dtype)


def _emit(call: "relax.Call", ctx: "CudaContext", kernel: "CudaKernel", operand: "CudaTensor | int") -> "CudaTensor":
    return ctx.emit(kernel, [operand], plain(shape_of(call), _dtype(call)), call.op.name)


def _gathered(call: "relax.Call", ctx: "CudaContext") -> "tuple[CudaTensor, int, int, int, bool]":
    """(operand, outer, count, inner, whether several axes count as one) with the reduced axes in one run: where they
    are not neighbours, they are moved behind the others."""
    shape, axes = shape_of(call.args[0]), ops.attrs_of(call)["axis"]
    axes = [axes] if isinstance(axes, int) else axes
    axes = sorted(axis % len(shape) for axis in (range(len(shape)) if axes is None else axes))
    operand, several = ctx.plain(call.args[0]), len(axes) > 1
    if axes != list(range(axes[0], axes[-1] + 1)):
        order = [axis for axis in range(len(shape)) if axis not in axes] + axes
        moved = plain([shape[axis] for axis in order], operand.layout.dtype)
        region = movement.region(moved.shape, 0, [operand.layout.steps[axis] for axis in order], 0, moved.steps)
        operand = ctx.emit(movement.move(region, np.dtype(moved.dtype).itemsize), [operand], moved, call.op.name)
        shape, axes = moved.shape, list(range(len(shape) - len(axes), len(shape)))
    return operand, prod(shape[: axes[0]]), prod(shape[axis] for axis in axes), prod(shape[axes[-1] + 1 :]), several


def _sum(mean: bool) -> Rule:
    def rule(call: "relax.Call", ctx: "CudaContext") -> "CudaTensor | None":
        if _dtype(call) != "float32" or not shape_of(call.args[0]) or len(shape_of(call.args[0])) > movement.AXES:
            return None
        operand, outer, count, inner, several = _gathered(call, ctx)
        return _emit(call, ctx, floats.reduce(outer, count, inner, mean, ordered=several or inner != 1), operand)

    return rule


def _extreme(largest: bool, where: bool) -> Rule:
    def rule(call: "relax.Call", ctx: "CudaContext") -> "CudaTensor | None":
        source = call.args[0]
        if (
            _dtype(source) not in axis.DTYPES
            or not shape_of(source)
            or len(shape_of(source)) > movement.AXES
            or 0 in shape_of(source)
        ):
            return None
        if where and (ops.attrs_of(call)["axis"] is None or _dtype(call) != "int64"):
            return None
        operand, outer, count, inner, _ = _gathered(call, ctx)
        return _emit(call, ctx, axis.extreme(axis.Axis(outer, count, inner, _dtype(source)), largest, where), operand)

    return rule


def _along(call: "relax.Call") -> "Axis | None":
    """The operand as [outer, count, inner] around the operator's axis, or None."""
    shape, at = shape_of(call.args[0]), ops.attrs_of(call)["axis"]
    if at is None or not shape or 0 in shape or _dtype(call.args[0]) not in axis.DTYPES:
        return None
    at %= len(shape)
    return axis.Axis(prod(shape[:at]), shape[at], prod(shape[at + 1 :]), _dtype(call.args[0]))


def cumsum(call: "relax.Call", ctx: "CudaContext") -> "CudaTensor | None":
    """Lowers R.cumsum along any axis."""
    problem = _along(call)
    if problem is None or _dtype(call) != problem.dtype:
        return None
    return _emit(call, ctx, axis.running_sum(problem, bool(ops.attrs_of(call)["exclusive"])), ctx.plain(call.args[0]))


def topk(call: "relax.Call", ctx: "CudaContext") -> "CudaTensor | None":
    """Lowers R.topk to its values or its places, whichever the operator returns."""
    attrs, problem = ops.attrs_of(call), _along(call)
    if (
        problem is None
        or attrs["ret_type"] not in ("values", "indices")
        or (attrs["ret_type"] == "indices" and _dtype(call) != "int64")
    ):
        return None
    return _emit(
        call,
        ctx,
        axis.top_k(problem, int(attrs["k"]), bool(attrs["largest"]), attrs["ret_type"] == "indices"),
        ctx.plain(call.args[0]),
    )


RULES = {
    "relax.sum": _sum(False),
    "relax.mean": _sum(True),
    "relax.max": _extreme(True, False),
    "relax.min": _extreme(False, False),
} | {
    "relax.argmax": _extreme(True, True),
    "relax.argmin": _extreme(False, True),
    "relax.cumsum": cumsum,
    "relax.topk": topk,
}
