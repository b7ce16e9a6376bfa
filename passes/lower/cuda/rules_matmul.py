"""octet.matmul: the product of two computed tensors, as a batch of products on tensor cores.

Both operands are read where they lie, heads of attention in the rows of a linear layer's result too, if the bytes of a
sum lie together; else the right one's columns become rows first. A result that is transposed next is written as that
wants it."""

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from ....targets.cuda.kernels import movement
from ....targets.cuda.kernels.conv import Conv, Epilogue, Views, tiled_kernel
from ....targets.cuda.kernels.conv_schedule import rounded_up, tile_for
from ....targets.cuda.kernels.movement import ColumnSums, Turn
from ....targets.cuda.kernels.window import ROW
from ....targets.cuda.layout import GRANULE, Strided, plain, row_layout
from ....targets.cuda.workload import workload_of
from ....targets.seams import Attrs
from ... import ops
from ...ops import shape_of
from .context import CudaTensor, notes

if TYPE_CHECKING:
    from tvm import relax

    from ....targets.cuda.layout import CudaLayout
    from .context import CudaContext


_SWAPPED = [0, 2, 1, 3]  # A permutation of these axes joins heads.


def matmul(call: "relax.Call", ctx: "CudaContext") -> CudaTensor | None:
    """Lowers octet.matmul of a [.., M, K] and b [.., K, N], broadcast as NumPy does."""
    attrs = ops.attrs_of(call)
    *lead, m, n = shape = shape_of(call)
    a, b = (ctx.view(arg) for arg in call.args)
    k, batch = a.layout.shape[-1], prod(lead)
    if batch > 65535 or len(shape) > movement.AXES:
        return None
    to_float = attrs["out_dtype"] == "float32"
    result = plain(shape, "float32") if to_float else result_of(ctx, shape)
    canonical = Conv(
        m, *ROW, row_layout((m, k)).stride, n if to_float else row_layout((m, n)).stride, batch, k, n, 0, True
    )
    epilogue = epilogue_of(attrs, to_float)
    workload = workload_of(canonical, epilogue)
    found = ctx.found(workload)
    tile = found.schedule if found is not None else tile_for(canonical, ctx.spec)
    left, right, views = placed(ctx, a, b, shape, k, result, call.op.name)
    problem = replace(
        canonical,
        zero_point=attrs.get("a_zero_point", 0),
        stride=left.layout.steps[-2] if m > 1 else canonical.stride,
        out_stride=n if to_float else result.steps[-2],
    )
    outputs = rounded_up(n, tile.columns)
    parts = left  # An operand that nobody reads.
    if attrs.get("b_zero_point", 0):
        views = replace(views, row_parts=True)
        parts = _row_parts(ctx, problem, left, views, attrs["b_zero_point"], call.op.name)
    vectors = [
        _bias(ctx, problem, right, views, outputs, call.op.name),
        np.full(outputs, attrs["multiplier"], np.float32),
    ]
    into = CudaTensor(result, ctx.storage(prod(shape))) if isinstance(result, Strided) else None
    return ctx.emit(
        tiled_kernel("matmul", problem, epilogue, tile, ctx.spec, views),
        [left, right, *vectors, parts],
        result,
        call.op.name,
        batch * m * n * k,
        into=into,
        notes=notes(workload, tile, found),
    )


def _bias(
    ctx: "CudaContext", problem: Conv, right: CudaTensor, views: Views, outputs: int, operator: str
) -> CudaTensor | np.ndarray:
    """What the left operand's zero point adds to the sums of every column, [batch, outputs] or, if nothing,
    [outputs]."""
    if problem.zero_point == 0:
        return np.zeros(outputs, np.int32)
    sums = ColumnSums(
        problem.groups,
        views.inner,
        problem.outputs,
        problem.channels,
        outputs,
        problem.zero_point,
        0,
        views.b_outer,
        views.b_inner,
        views.column_pitch,
    )
    return ctx.emit(movement.column_sums(sums), [right], plain((problem.groups, outputs), "int32"), operator)


def _row_parts(
    ctx: "CudaContext", problem: Conv, left: CudaTensor, views: Views, zero_point: int, operator: str
) -> CudaTensor:
    """-zb * sum(a - za) of every row, [batch, rows], for the zero point zb of the right operand."""
    sums = ColumnSums(
        problem.groups,
        views.inner,
        problem.images,
        problem.channels,
        problem.images,
        zero_point,
        zero_point * problem.zero_point * problem.channels,
        views.a_outer,
        views.a_inner,
        problem.stride,
    )
    return ctx.emit(movement.column_sums(sums), [left], plain((problem.groups, problem.images), "int32"), operator)


def result_of(ctx: "CudaContext", shape: tuple[int, ...]) -> "CudaLayout | Strided":
    """The layout of a product's result: rows, or, where heads are joined next, rows of all heads."""
    user = ctx.only_user(ctx.var)
    if (
        len(shape) == 4
        and shape[-1] % GRANULE == 0
        and ops.is_op(user, "relax.permute_dims")
        and user.attrs.axes is not None
    ):
        if [int(axis) % 4 for axis in user.attrs.axes] == _SWAPPED:
            _, heads, m, n = shape
            return Strided(shape, (m * heads * n, n, heads * n, 1), "int8")
    return row_layout(shape)


def placed(
    ctx: "CudaContext",
    a: CudaTensor,
    b: CudaTensor,
    shape: tuple[int, ...],
    k: int,
    result: "CudaLayout | Strided",
    operator: str,
) -> tuple[CudaTensor, CudaTensor, Views]:
    """(left operand, right operand, Views)."""
    *lead, m, n = shape
    if not _readable(_broadcast(a, (*lead, m, k)), (*lead, m), k):
        a = _left(ctx, a, row_layout((*lead, m, k)), operator)
    batches = _batches(
        lead, *(steps[:-2] for steps in (_broadcast(a, (*lead, m, k)), _broadcast(b, (*lead, k, n)), result.steps))
    )
    if batches is None:  # More axes than two lie anyhow.
        a, b = _left(ctx, a, row_layout((*lead, m, k)), operator), _whole(ctx, b, (*lead, k, n), operator)
        batches = _batches(lead, *(tensor.steps[:-2] for tensor in (a.layout, b.layout, result)))
    assert batches is not None  # The matrices of the batch follow each other now.
    inner, (a_steps, b_steps, y_steps) = batches
    *_, depth_step, column_step = _broadcast(b, (*lead, k, n))
    turned = _broadcast(b, (*lead, k, n))
    turned[-2:] = turned[:-3:-1]
    if _readable(turned, (*lead, n), k):
        return a, b, Views(*(inner, *a_steps, *b_steps, *y_steps, column_step))
    padded = rounded_up(k, GRANULE)
    batch = 1 if not any(b_steps) else prod(lead)  # Without steps one matrix serves all.
    problem = Turn(*(batch, inner, n, k, padded, *b_steps, column_step, depth_step))
    rights = ctx.emit(movement.turn(problem), [b], plain((batch, n, padded), "int8"), operator)
    each = n * padded if batch > 1 else 0
    return a, rights, Views(*(inner, *a_steps, inner * each, each, *y_steps, padded))


def _readable(steps: list[int], extents: tuple[int, ...], k: int) -> bool:
    """Whether the bytes of a sum lie together, in whole granules, at multiples of 16. extents: of the other axes."""
    return (
        k % GRANULE == 0
        and steps[-1] == 1
        and all(step % GRANULE == 0 for step, extent in zip(steps, extents) if extent > 1)
    )


def _batches(lead: list[int], *operands: Sequence[int]) -> tuple[int, list[tuple[int, int]]] | None:
    """(extent of the inner axis, [(outer step, inner step) of each operand]) of axes with these steps; None where two
    axes do not suffice."""
    merged: list[Any] = []
    for extent, *steps in zip(lead, *operands):
        if extent == 1:
            continue
        if merged and all(before == extent * step for before, step in zip(merged[-1][1:], steps)):
            merged[-1] = [merged[-1][0] * extent, *steps]
        else:
            merged.append([extent, *steps])
    if len(merged) > 2:
        return None
    (_, *outer), (inner, *inner_steps) = [[1] + [0] * len(operands)] * (2 - len(merged)) + merged
    return inner, list(zip(outer, inner_steps))


def epilogue_of(attrs: Attrs, to_float: bool) -> Epilogue:
    """The last steps of a product: clipped floats, or codes of the scale of the result."""
    if to_float:
        return Epilogue(True, 0, 0, 0, float(attrs["clip_min"]), float(attrs["clip_max"]), False, 0, 0.0)
    return Epilogue(False, attrs["out_zero_point"], attrs["clip_min"], attrs["clip_max"], 0.0, 0.0, False, 0, 0.0)


def _broadcast(tensor: CudaTensor, shape: tuple[int, ...]) -> list[int]:
    """Steps of the tensor's elements over `shape`, 0 along axes that are broadcast."""
    own = tensor.layout.shape
    steps = (0,) * (len(shape) - len(own)) + tuple(tensor.layout.steps)
    extents = (1,) * (len(shape) - len(own)) + own
    return [0 if extent == 1 else step for extent, step in zip(extents, steps, strict=True)]


def _left(ctx: "CudaContext", a: CudaTensor, layout: "CudaLayout", operator: str) -> CudaTensor:
    if a.layout.shape == layout.shape:
        return ctx.formed(a, layout)
    return ctx.emit(
        movement.move(movement.region(layout.shape, 0, _broadcast(a, layout.shape), 0, layout.steps), 1),
        [a],
        layout,
        operator,
    )


def _whole(ctx: "CudaContext", b: CudaTensor, shape: tuple[int, ...], operator: str) -> CudaTensor:
    """Every matrix of the batch, behind one another."""
    layout = plain(shape, "int8")
    return ctx.emit(
        movement.move(movement.region(shape, 0, _broadcast(b, shape), 0, layout.steps), 1), [b], layout, operator
    )


RULES = {"octet.matmul": matmul}
