"""Choices and sums that follow an order: R.cumsum and R.topk (values or indices) of float32 and integers,
octet.scatter_add, octet.non_max_suppression and octet.nonzero."""

from typing import TYPE_CHECKING

from ....targets.x86.layout import Layout
from ....targets.x86.rows.order import AxisProblem, running_sum, top_k
from ....targets.x86.rows.scatter_add import ScatterProblem, scatter_add
from ....targets.x86.rows.selection import SuppressionProblem, non_max_suppression, nonzero
from ... import ops
from ...ops import shape_of

if TYPE_CHECKING:
    from tvm import relax

    from .context import CpuContext
    from .value import Value

_DTYPES = ("float32", "int32", "int64")


def _problem(call: "relax.Call", axis: int) -> AxisProblem | None:
    shape, dtype = shape_of(call.args[0]), str(call.args[0].ty.dtype)
    return (
        AxisProblem(shape, int(axis) % len(shape), dtype)
        if dtype in _DTYPES and axis is not None and shape and 0 not in shape
        else None
    )


def cumsum(call: "relax.Call", ctx: "CpuContext") -> "Value | None":
    """Lowers R.cumsum along any axis."""
    attrs = ops.attrs_of(call)
    problem = _problem(call, attrs["axis"])
    if problem is None or str(call.ty.dtype) != problem.dtype:
        return None
    return ctx.emit(
        running_sum(problem, bool(attrs["exclusive"])), [ctx.plain(call.args[0])], problem.source, call.op.name
    )


def topk(call: "relax.Call", ctx: "CpuContext") -> "Value | None":
    """Lowers R.topk of the values or of the indices."""
    attrs = ops.attrs_of(call)
    problem, kind = _problem(call, attrs["axis"]), attrs["ret_type"]
    if problem is None or kind not in ("values", "indices") or (kind == "indices" and str(attrs["dtype"]) != "int64"):
        return None
    kernel = top_k(problem, int(attrs["k"]), bool(attrs["largest"]), kind == "indices")
    return ctx.emit(
        kernel, [ctx.plain(call.args[0])], problem.result(int(attrs["k"]), str(call.ty.dtype)), call.op.name
    )


def suppression(call: "relax.Call", ctx: "CpuContext") -> "Value":
    """Lowers octet.non_max_suppression."""
    attrs, (images, classes, boxes) = ops.attrs_of(call), shape_of(call.args[1])
    most = min(attrs["most"], boxes)
    problem = SuppressionProblem(
        images, classes, boxes, most, attrs["overlap"], attrs.get("threshold"), bool(attrs["centers"])
    )
    operands = [ctx.plain(arg) for arg in call.args]
    return ctx.emit(
        non_max_suppression(problem), operands, problem.kept, call.op.name, workspace=(problem.scratch, "int32")
    )


def sums_of_rows(call: "relax.Call", ctx: "CpuContext") -> "Value":
    """Lowers octet.scatter_add."""
    updates = ctx.value(call.args[1])
    problem = ScatterProblem(shape_of(call)[0], updates.layout, str(call.args[2].ty.dtype))
    operands = [ctx.plain(call.args[0]), updates, ctx.plain(call.args[2])]
    return ctx.emit(scatter_add(problem), operands, problem.result, call.op.name, notes={"bytes": problem.traffic})


def places(call: "relax.Call", ctx: "CpuContext") -> "Value":
    """Lowers octet.nonzero to the int64 places of the elements that are not zero."""
    shape = shape_of(call.args[0])
    result = Layout("plain", shape_of(call), "int64")
    return ctx.emit(nonzero(shape), [ctx.plain(call.args[0])], result, call.op.name)


RULES = {
    "relax.cumsum": cumsum,
    "relax.topk": topk,
    "octet.non_max_suppression": suppression,
    "octet.scatter_add": sums_of_rows,
    "octet.nonzero": places,
}
