"""octet.matmul: products of two computed tensors on strided operands, so that the heads of an attention are split and
joined without a copy."""

from math import prod
from typing import TYPE_CHECKING

from ....targets.x86.layout import CHANNEL_BLOCK, SLACK
from ....targets.x86.matmul.problem import MatmulProblem, Matrices, SoftmaxEpilogue
from ....targets.x86.matmul.product import matmul
from ....targets.x86.matmul.schedule import constants_of, default_schedule
from ....targets.x86.view import View, as_layout, contiguous, view_of
from ... import ops
from ...ops import shape_of
from .tuned import schedule_of
from .value import Value

if TYPE_CHECKING:
    from tvm import relax

    from ..softmax_chains import SoftmaxParts
    from .context import CpuContext


_ROW = 64  # Rows of probabilities begin at cache lines, which have so many bytes.


def product_kernel(
    call: "relax.Call",
    ctx: "CpuContext",
    softmax: "SoftmaxParts | None" = None,
    root: "relax.Expr | None" = None,
    peak: bool = False,
) -> Value:
    """One kernel. softmax: SoftmaxParts of the operators behind it (softmax_chains.py), whose result `root` is then
    computed. peak: over each row's largest value."""
    attrs = ops.attrs_of(call)
    shape = shape_of(root if root is not None else call)
    rank = len(shape)
    a, b = (_operand(arg, ctx, inner) for arg, inner in zip(call.args, (-1, None)))
    batch, (rows, columns), inner = shape[:-2], shape[-2:], a.layout.shape[-1]
    out = _result(shape, attrs["out_dtype"] if softmax is None else "int8", softmax is not None)
    epilogue, operands = None, [a, b]
    if softmax is not None:
        mask = None
        if softmax.mask is not None:
            mask = _mask(softmax.mask, ctx)
            operands.append(mask)
        epilogue = SoftmaxEpilogue(
            softmax.scale,
            None if mask is None else _matrices(mask.layout, rank, shape),
            softmax.probability_scale,
            softmax.zero_point,
            peak,
            None if softmax.codes is None else softmax.codes[0],
        )
    problem = MatmulProblem(
        batch,
        rows,
        inner,
        columns,
        _matrices(a.layout, rank),
        _matrices(b.layout, rank),
        _matrices(out, rank),
        attrs["multiplier"],
        out.dtype,
        attrs.get("out_zero_point", 0),
        attrs["clip_min"],
        attrs["clip_max"],
        epilogue,
        attrs.get("a_zero_point", 0),
        attrs.get("b_zero_point", 0),
    )
    schedule, notes = schedule_of(problem, ctx, default_schedule)
    func = matmul(problem, ctx.spec.dot, schedule)
    value = ctx.emit(
        func,
        operands + constants_of(problem, ctx.spec.dot),
        out,
        call.op.name,
        ctx.spec.dot,
        problem.multiply_adds,
        notes=notes,
    )
    return Value(value.var, as_layout(out) or out)


def _operand(expr: "relax.Var", ctx: "CpuContext", contiguous_axis: int | None) -> Value:
    """The operand as a view whose last axis (a) or one of the last two axes (b) is contiguous."""
    value = ctx.strided(expr)
    strides = value.layout.strides
    wanted = (strides[-1],) if contiguous_axis is not None else strides[-2:]
    if 1 in wanted and value.layout.padded >= SLACK:
        return value
    packed = ctx.rows(expr)
    return Value(packed.var, view_of(packed.layout))


def _mask(expr: "relax.Expr", ctx: "CpuContext") -> Value:
    value = ctx.rows(expr)
    return Value(value.var, view_of(value.layout))


def _matrices(view: View, rank: int, against: tuple[int, ...] | None = None) -> Matrices:
    """View -> Matrices, with leading axes of stride 0 up to `rank`; axes of extent 1 are broadcast."""
    missing = rank - len(view.shape)
    shape, strides = (1,) * missing + view.shape, (0,) * missing + view.strides
    strides = tuple(
        0 if extent == 1 and axis < rank - (2 if against is None else 1) else stride
        for axis, (extent, stride) in enumerate(zip(shape, strides))
    )
    return Matrices(view.elements, view.offset, strides[:-2], *strides[-2:])


def _result(shape: tuple[int, ...], dtype: str, aligned: bool) -> View:
    """[.., H, M, N] int8 with N a multiple of 16 lies as [.., M, H, N]: joining the heads is then a view. Otherwise
    rows are padded."""
    *batch, rows, columns = shape
    width = -(-columns // CHANNEL_BLOCK) * CHANNEL_BLOCK
    if aligned:
        width = -(-columns // _ROW) * _ROW
    elif len(shape) >= 4 and dtype == "int8" and columns == width:
        heads = batch[-1]
        outer = contiguous((*batch[:-1], rows * heads * width))[:-1]
        return View(shape, (*outer, width, heads * width, 1), 0, dtype, (prod(shape) + SLACK,), SLACK)
    strides = (*(step * width for step in contiguous((*batch, rows))), 1)
    return View(shape, strides, 0, dtype, (prod(batch) * rows * width + SLACK,), SLACK)


RULES = {"octet.matmul": product_kernel}
