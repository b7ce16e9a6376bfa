"""Softmax over the rows of a matrix: e = exp(x - max), e / sum(e); as a kernel, and as the epilogue of attention's first product."""

from dataclasses import dataclass
from math import inf, prod

import numpy as np
from tvm import tirx
from tvm.tirx.script import builder as T

from .intrinsics import load, splat, store
from .kernel import emit_kernel
from .layout import Layout
from .rowwise import exact_quotient, exp_nonpositive, held, lane_max, lane_sum, mask_tail, over
from .vector import round_straight, store_bytes
from .vector_loops import Accumulators, each, tensors

STEP = 4  # vectors that are packed to bytes at a time


def emit_softmax(columns, value, scratch, write):
    """value(v): float32x16, vector v of the row. scratch: float32 buffer of whole vectors. write(v, values, total, inverse): stores the
    results of up to four vectors, each `values[i]` / total; inverse = 1 / total."""
    vectors, tail = -(-columns // 16), columns % 16 or 16

    def prepare(first, size, lanes=16):
        for i in range(size):
            x = held(mask_tail(value(first + i), lanes, -inf))
            store(scratch, (first + i) * 16, x)
            largest[i] = tirx.max(largest[i], x)

    def raise_to(first, size):
        for i in range(size):
            e = exp_nonpositive(held(load(scratch, (first + i) * 16, 16) - largest[0]))
            store(scratch, (first + i) * 16, e)
            total[0] = total[0] + e

    largest, total = Accumulators(STEP, "float32"), Accumulators(2, "float32")
    for i in range(STEP):
        largest[i] = splat(-3.4028234663852886e38, "float32")
    total[0] = splat(0.0, "float32")
    over(vectors if tail == 16 else vectors - 1, STEP, prepare)
    if tail < 16:
        prepare(vectors - 1, 1, tail)
    largest[0] = lane_max(tirx.max(tirx.max(largest[0], largest[1]), tirx.max(largest[2], largest[3])))
    over(vectors, STEP, raise_to)
    total[0] = lane_sum(total[0])
    total[1] = tirx.Div(splat(1.0, "float32"), total[0])
    over(vectors, STEP, lambda first, size: write(first, [load(scratch, (first + i) * 16, 16) for i in range(size)], total[0], total[1]))


def write_bytes(out, at, scale):
    """A `write` of emit_softmax: quantised with `scale` and zero point 0. Row `at` of `out` has room for whole vectors."""
    divisor, inverse = (splat(float(v), "float32") for v in (np.float32(scale), np.float32(1) / np.float32(scale)))

    def write(first, values, total, reciprocal):
        quotients = [exact_quotient(exact_quotient(held(v), total, reciprocal), divisor, inverse) for v in values]
        store_bytes(out, at + first * 16, T.Bind(round_straight(quotients, 0)), 16 * len(values))

    return write


def write_floats(out, at):
    """A `write` of emit_softmax: float32, IEEE divisions."""

    def write(first, values, total, _):
        for i, value in enumerate(values):
            store(out, at + (first + i) * 16, tirx.Div(value, total))

    return write


@dataclass(frozen=True)
class SoftmaxProblem:
    """Over the last axis of `shape` (rows layout). scale: of an int8 result with zero point 0; None for float32."""

    shape: tuple[int, ...]
    scale: float | None

    @property
    def source(self) -> Layout:
        return Layout("rows", (prod(self.shape[:-1]), self.shape[-1]), "float32")

    @property
    def target(self) -> Layout:
        return Layout("rows", (prod(self.shape[:-1]), self.shape[-1]), "float32" if self.scale is None else "int8")


def softmax(p: SoftmaxProblem):
    """(x, y)."""
    source, target = p.source, p.target

    def body():
        x, y = tensors(x=source, y=target)
        with each(source.pixels, source.elements * 4) as row:
            scratch = T.alloc_buffer((source.channel_stride,), "float32", annotations={"disable_lower_builtin": True})
            at, to = T.Bind(row * source.channel_stride), T.Bind(row * target.channel_stride)
            write = write_floats(y, to) if p.scale is None else write_bytes(y, to, p.scale)
            emit_softmax(source.channels, lambda v: load(x, at + v * 16, 16), scratch, write)

    return emit_kernel(f"softmax_rows_{target.dtype}_{source.pixels}x{source.channels}", body)
