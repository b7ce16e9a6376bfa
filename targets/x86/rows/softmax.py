"""Softmax over the rows of a matrix: e = exp(x - max), e / sum(e); as a kernel, and as the epilogue of attention's first product."""

from dataclasses import dataclass
from math import inf, prod

import numpy as np
from tvm import tirx
from tvm.tirx.script import builder as T

from ..intrinsics import load, splat, store
from ..kernel import emit_kernel
from ..layout import Layout
from ..vector import round_straight, store_bytes
from ..vector_loops import Accumulators, LoopSchedule, default_loops, each, tensors
from .pieces import exact_quotient, exp_nonpositive, held, lane_max, lane_sum, mask_tail, over

STEP = 4  # vectors that are packed to bytes at a time


def emit_softmax(columns, rows, value, scratch, write):
    """`rows` rows side by side, so that the latency of one row's reductions is hidden behind the others.

    value(r, v): float32x16, vector v of row r. scratch: float32 buffer of `rows` rows of whole vectors. write(r, v, values, total, inverse): stores the
    results of up to four vectors of row r, each `values[i]` / total; inverse = 1 / total."""
    vectors, tail = -(-columns // 16), columns % 16 or 16
    width, step = vectors * 16, max(1, STEP // rows)
    pieces = lambda size: [(r, i) for i in range(size) for r in range(rows)]  # noqa: E731

    def prepare(first, size, lanes=16):
        for r, i in pieces(size):
            x = held(mask_tail(value(r, first + i), lanes, -inf))
            store(scratch, r * width + (first + i) * 16, x)
            largest[r * step + i] = tirx.max(largest[r * step + i], x)

    def raise_to(first, size):
        for r, i in pieces(size):
            e = exp_nonpositive(held(load(scratch, r * width + (first + i) * 16, 16) - largest[r * step]))
            store(scratch, r * width + (first + i) * 16, e)
            total[r] = total[r] + e

    def finish(first, size):
        for r in range(rows):
            write(r, first, [load(scratch, r * width + (first + i) * 16, 16) for i in range(size)], total[r], inverse[r])

    largest, total, inverse = Accumulators(rows * step, "float32"), Accumulators(rows, "float32"), Accumulators(rows, "float32")
    for i in range(rows * step):
        largest[i] = splat(-3.4028234663852886e38, "float32")
    for r in range(rows):
        total[r] = splat(0.0, "float32")
    over(vectors if tail == 16 else vectors - 1, step, prepare)
    if tail < 16:
        prepare(vectors - 1, 1, tail)
    for r in range(rows):
        for i in range(1, step):
            largest[r * step] = tirx.max(largest[r * step], largest[r * step + i])
        largest[r * step] = lane_max(largest[r * step])
    over(vectors, step, raise_to)
    for r in range(rows):
        total[r] = lane_sum(total[r])
        inverse[r] = tirx.Div(splat(1.0, "float32"), total[r])
    over(vectors, STEP, finish)


def write_bytes(out, at, scale):
    """A `write` of emit_softmax: quantised with `scale` and zero point 0. Row r begins at at(r) and has room for whole vectors."""
    divisor, inverse = (splat(float(v), "float32") for v in (np.float32(scale), np.float32(1) / np.float32(scale)))

    def write(r, first, values, total, reciprocal):
        quotients = [exact_quotient(exact_quotient(held(v), total, reciprocal), divisor, inverse) for v in values]
        store_bytes(out, at(r) + first * 16, T.Bind(round_straight(quotients, 0)), 16 * len(values))

    return write


def write_floats(out, at):
    """A `write` of emit_softmax: float32, IEEE divisions; row r begins at at(r)."""

    def write(r, first, values, total, _):
        for i, value in enumerate(values):
            store(out, at(r) + (first + i) * 16, tirx.Div(value, total))

    return write


@dataclass(frozen=True)
class SoftmaxProblem:
    """Over the last axis of `shape` (rows layout). scale: of an int8 result with zero point 0; None for float32."""

    shape: tuple[int, ...]
    scale: float | None
    dtype = "float32"
    multiply_adds = 0  # none that a dot product does
    light = False

    @property
    def source(self) -> Layout:
        return Layout("rows", (prod(self.shape[:-1]), self.shape[-1]), "float32")

    @property
    def target(self) -> Layout:
        return Layout("rows", (prod(self.shape[:-1]), self.shape[-1]), "float32" if self.scale is None else "int8")

    @property
    def traffic(self) -> int:
        return 4 * self.source.elements

    @property
    def name(self) -> str:
        return f"softmax_rows_{self.target.dtype}_{self.source.pixels}x{self.source.channels}"


def softmax(p: SoftmaxProblem, schedule: LoopSchedule | None = None):
    """(x, y)."""
    how = schedule if schedule is not None else default_loops(p)
    source, target = p.source, p.target

    def body():
        x, y = tensors(x=source, y=target)
        with each(source.pixels, how) as row:
            scratch = T.alloc_buffer((source.channel_stride,), "float32", annotations={"disable_lower_builtin": True})
            at, to = T.Bind(row * source.channel_stride), T.Bind(row * target.channel_stride)
            write = write_floats(y, lambda _: to) if p.scale is None else write_bytes(y, lambda _: to, p.scale)
            emit_softmax(source.channels, 1, lambda _, v: load(x, at + v * 16, 16), scratch, write)

    return emit_kernel(p.name, body)
