"""Reductions over the channels: log_softmax, mean, sum, argmax, argmin, and the softmax of every pixel (of rows:
rules_rows.py)."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ....targets.x86.layout import Layout, packed
from ....targets.x86.movement.pixels import channel_axis
from ....targets.x86.rows.channels import ReduceProblem, reduce_rows
from ... import ops
from ...ops import shape_of

if TYPE_CHECKING:
    from tvm import relax

    from .context import CpuContext
    from .value import Value


def _rule(kind: str) -> Callable[..., Any]:
    def rule(call: "relax.Call", ctx: "CpuContext") -> "Value | None":
        axis = ops.attrs_of(call)["axis"]
        axes = axis if isinstance(axis, list) else [axis]
        source = packed(shape_of(call.args[0]), str(call.args[0].ty.dtype))
        if source is None or source.dtype != "float32" or len(axes) != 1 or axes[0] is None:
            return None
        if int(axes[0]) % len(source.shape) != channel_axis(source) or ctx.constant(call.args[0]) is not None:
            return None
        if (kind == "softmax") != (source.kind == "nhwc") and kind in ("softmax", "mean", "sum"):
            return None  # Sums over an axis that is not the last have another order (referee/floats.py).
        problem = ReduceProblem(kind, source)
        shape = shape_of(call)
        layout = problem.target if problem.target.kind != "plain" else Layout("plain", shape, problem.target.dtype)
        return ctx.emit(reduce_rows(problem), [ctx.packed(call.args[0])], layout, call.op.name)

    return rule


RULES = {
    "relax.nn.softmax": _rule("softmax"),
    "relax.nn.log_softmax": _rule("log_softmax"),
    "relax.mean": _rule("mean"),
    "relax.sum": _rule("sum"),
    "relax.argmax": _rule("argmax"),
    "relax.argmin": _rule("argmin"),
}
