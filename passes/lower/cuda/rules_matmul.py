"""octet.matmul: the product of two computed tensors, as a batch of products on tensor cores."""

from math import prod

import numpy as np

from ....targets.cuda import movement
from ....targets.cuda.conv import Conv, Epilogue, tiled_kernel
from ....targets.cuda.conv_schedule import depth_of, rounded, tile_for
from ....targets.cuda.layout import plain, rows
from ....targets.cuda.window import ROW
from ....targets.cuda.workload import workload_of
from ... import ops
from .lowering import notes


def matmul(call, ctx):
    """a [.., M, K] row by row; b [.., K, N] is transposed into zero-padded tiles, as packed weights are."""
    attrs = ops.attrs_of(call)
    shape = tuple(int(extent) for extent in call.ty.shape.values)
    a, b = (ctx.find(arg) for arg in call.args)
    m, k, n, batch = a.layout.shape[-2], a.layout.shape[-1], shape[-1], prod(shape[:-2])
    if batch > 65535 or len(shape) > movement.AXES:
        return None
    left, to_float = rows((*shape[:-2], m, k)), attrs["out_dtype"] == "float32"
    result = plain(shape, "float32") if to_float else rows(shape)
    problem = Conv(m, *ROW, left.stride, n if to_float else result.stride, batch, k, n, 0, True)
    epilogue = _epilogue(attrs, to_float)
    workload = workload_of(problem, epilogue)
    found = ctx.found(workload)
    tile = found.schedule if found is not None else tile_for(problem, ctx.spec)
    outputs, pitch = rounded(n, tile.columns), rounded(depth_of(problem), tile.depth)
    first, second = _left(ctx, a, left, call.op.name), _right(ctx, b, (*shape[:-2], k, n), outputs, pitch, call.op.name)
    vectors = [np.zeros(outputs, np.int32), np.full(outputs, attrs["multiplier"], np.float32)]
    return ctx.emit(tiled_kernel("matmul", problem, epilogue, tile, ctx.spec), [first, second, *vectors, first], result, call.op.name, batch * m * n * k,
                    notes=notes(workload, tile, found))  # fmt: skip


def _epilogue(attrs, to_float):
    if to_float:
        return Epilogue(True, 0, 0, 0, float(attrs["clip_min"]), float(attrs["clip_max"]), False, 0, 0.0)
    return Epilogue(False, attrs["out_zero_point"], attrs["clip_min"], attrs["clip_max"], 0.0, 0.0, False, 0, 0.0)


def _broadcast(tensor, shape):
    """Steps of the tensor's elements over `shape`, 0 along axes that are broadcast."""
    own = tensor.layout.shape
    steps = (0,) * (len(shape) - len(own)) + tensor.layout.steps
    extents = (1,) * (len(shape) - len(own)) + own
    return [0 if extent == 1 else step for extent, step in zip(extents, steps, strict=True)]


def _left(ctx, a, layout, operator):
    if a.layout.shape == layout.shape:
        return ctx.formed(a, layout)
    return ctx.emit(movement.move(movement.region(layout.shape, 0, _broadcast(a, layout.shape), 0, layout.steps), 1), [a], layout, operator)


def _right(ctx, b, shape, outputs, pitch, operator):
    """[batch][N rounded up][K rounded up] with zeros around."""
    *lead, k, n = shape
    layout = plain((*lead, outputs, pitch), "int8")
    result = ctx.empty(layout)
    if (outputs, pitch) != (n, k):
        ctx.emit(movement.fill(layout, 0), [], layout, operator, into=result)
    to = (*layout.steps[:-2], 1, pitch)
    return ctx.emit(movement.move(movement.region(shape, 0, _broadcast(b, shape), 0, to), 1), [b], layout, operator, into=result)


RULES = {"octet.matmul": matmul}
