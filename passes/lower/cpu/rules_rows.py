"""Softmax, layer and RMS normalisation over the last axis, alone or with the quantize and dequantize around them; rows
of int8 tables."""

from collections.abc import Callable, Sequence
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from ....targets.x86.layout import SLACK, Layout, channel_stride
from ....targets.x86.rows.embedding import EmbeddingProblem, embedding
from ....targets.x86.rows.layer_norm import LayerNormProblem, RmsNormProblem, default_schedule, layer_norm, rms_norm
from ....targets.x86.rows.softmax import SoftmaxProblem, softmax
from ....targets.x86.rows.softmax_table import SoftmaxTableProblem, softmax_by_table
from ....targets.x86.vector_loops import default_loops
from ....targets.x86.view import View, as_layout, contiguous
from ... import ops
from ...ops import shape_of
from .tuned import schedule_of
from .value import Value

if TYPE_CHECKING:
    from tvm import relax, tirx

    from ..fusion import LayerNorm
    from .context import CpuContext


def softmax_rows(
    source: "relax.Var",
    root: "relax.Call",
    ctx: "CpuContext",
    scale: float | None,
    zero_point: int = 0,
    peak: bool = False,
) -> Value:
    """softmax(source) -> the tensor of `root`: int8 with this scale and zero point, or float32 for scale None. peak:
    over each row's largest value."""
    problem = SoftmaxProblem(shape_of(root), scale, zero_point, peak)
    return _emit(ctx, softmax, problem, [ctx.rows(source)], root, problem.target, "relax.nn.softmax")


def layer_norm_rows(parts: "LayerNorm", ctx: "CpuContext") -> Value:
    """Lowers a chain that fusion.LayerNorm stands for, as one kernel on rows."""
    shape = shape_of(parts.root)
    attrs = ops.attrs_of(parts.call)
    kind = RmsNormProblem if ops.is_op(parts.call, "relax.nn.rms_norm") else LayerNormProblem
    problem = kind(prod(shape[:-1]), shape[-1], float(attrs["epsilon"]), parts.source, parts.target)
    if kind is RmsNormProblem:
        operands = [ctx.rows(parts.operand), _padded(ctx.constant(parts.call.args[1]))]
        return _as_rows(ctx, rms_norm(problem), operands, parts.root, problem.result, parts.call.op.name)
    gamma, beta = (_padded(ctx.constant(arg)) for arg in parts.call.args[1:])
    gamma = gamma if attrs["scale"] else np.ones_like(gamma)
    beta = beta if attrs["center"] else np.zeros_like(beta)
    return _emit(
        ctx,
        layer_norm,
        problem,
        [ctx.rows(parts.operand), gamma, beta],
        parts.root,
        problem.result,
        "relax.nn.layer_norm",
        default_schedule,
    )


def _padded(vector: np.ndarray) -> np.ndarray:
    return np.pad(vector, (0, -len(vector) % 16))


def _emit(
    ctx: "CpuContext",
    template: "Callable[..., tirx.PrimFunc]",
    problem: LayerNormProblem | SoftmaxProblem | SoftmaxTableProblem,
    operands: list[Value | np.ndarray],
    root: "relax.Expr",
    rows: Layout,
    operator: str,
    default: Callable[..., Any] = default_loops,
) -> Value:
    schedule, notes = schedule_of(problem, ctx, default)
    return _as_rows(ctx, template(problem, schedule), operands, root, rows, operator, notes)


def _as_rows(
    ctx: "CpuContext",
    kernel: "tirx.PrimFunc",
    operands: Sequence[Any],
    root: "relax.Expr",
    rows: Layout,
    operator: str,
    notes: dict[str, str] | None = None,
) -> Value:
    """The kernel's rows read as the tensor of `root`."""
    shape = shape_of(root)
    stride = channel_stride(shape[-1], rows.dtype)
    view = View(
        shape, (*(step * stride for step in contiguous(shape[:-1])), 1), 0, rows.dtype, rows.physical_shape, SLACK
    )
    value = ctx.emit(kernel, operands, view, operator, notes=notes)
    return Value(value.var, as_layout(view) or view)


def plain_softmax(call: "relax.Call", ctx: "CpuContext") -> Value | None:
    """Lowers a softmax whose result stays float32."""
    rank = len(call.ty.shape.values)
    if (
        ops.attrs_of(call)["axis"] % rank != rank - 1
        or str(call.ty.dtype) != "float32"
        or ctx.constant(call.args[0]) is not None
    ):
        return None
    return softmax_rows(call.args[0], call, ctx, None)


def integer_softmax(call: "relax.Call", ctx: "CpuContext") -> Value:
    """Lowers octet.softmax, whose exponentials come from a table."""
    problem = SoftmaxTableProblem(shape_of(call), **ops.attrs_of(call))
    return _emit(
        ctx,
        softmax_by_table,
        problem,
        [ctx.rows(call.args[0]), ctx.constant(call.args[1])],
        call,
        problem.layout,
        call.op.name,
    )


def look_up(call: "relax.Call", ctx: "CpuContext") -> Value | None:
    """Lowers octet.embedding of a constant table."""
    table, scales = ctx.constant(call.args[0]), ctx.constant(call.args[1])
    if table is None or scales is None:
        return None
    problem = EmbeddingProblem(*(*table.shape, shape_of(call.args[2]), str(call.args[2].ty.dtype)))
    operands = [table.reshape(-1), scales, ctx.plain(call.args[2])]
    return ctx.emit(embedding(problem), operands, problem.result, call.op.name, notes={"bytes": problem.moved})


RULES = {"relax.nn.softmax": plain_softmax, "octet.softmax": integer_softmax, "octet.embedding": look_up}
