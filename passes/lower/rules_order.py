"""R.cumsum and R.topk (values or indices) of float32 and integers."""

from ...targets.x86.rows.order import AxisProblem, running_sum, top_k
from .. import ops

_DTYPES = ("float32", "int32", "int64")


def _problem(call, axis):
    shape, dtype = tuple(int(d) for d in call.args[0].ty.shape.values), str(call.args[0].ty.dtype)
    return AxisProblem(shape, int(axis) % len(shape), dtype) if dtype in _DTYPES and axis is not None and shape and 0 not in shape else None


def cumsum(call, ctx):
    attrs = ops.attrs_of(call)
    problem = _problem(call, attrs["axis"])
    if problem is None or str(call.ty.dtype) != problem.dtype:
        return None
    return ctx.emit(running_sum(problem, bool(attrs["exclusive"])), [ctx.plain(call.args[0])], problem.source, call.op.name)


def topk(call, ctx):
    attrs = ops.attrs_of(call)
    problem, kind = _problem(call, attrs["axis"]), attrs["ret_type"]
    if problem is None or kind not in ("values", "indices") or (kind == "indices" and str(attrs["dtype"]) != "int64"):
        return None
    kernel = top_k(problem, int(attrs["k"]), bool(attrs["largest"]), kind == "indices")
    return ctx.emit(kernel, [ctx.plain(call.args[0])], problem.result(int(attrs["k"]), str(call.ty.dtype)), call.op.name)


RULES = {"relax.cumsum": cumsum, "relax.topk": topk}
