"""Softmax of rows to the bit: e = exp(x - max), e / sum(e), each operation rounded as targets/float_math.py and sum16
say."""

from collections.abc import Callable
from math import inf

import numpy as np
from tvm import tirx
from tvm.tirx.script import builder as T

from ...cpu.expressions import load_vector, splat, store_vector
from ..intrinsics import fence
from ..vector import round_straight, store_bytes
from ..vector_loops import Accumulators, reuse
from .row_pieces import UNROLL, exact_quotient, exp_nonpositive, lane_max, lane_sum, mask_tail, over

STEP = 4  # Vectors are packed to bytes four at a time.


def emit_softmax(
    columns: int,
    rows: int,
    value: Callable[..., tirx.Expr],
    scratch: tirx.Buffer,
    write: Callable[..., None],
    compact: bool = False,
    least: float = 0.0,
) -> None:
    """`rows` rows side by side, so that the latency of one row's reductions is hidden behind the others.

    value(r, v): float32x16, vector v of row r. scratch: float32 buffer of `rows` rows of whole vectors. write(r, v,
    values, total, inverse): stores the results of up to four vectors of row r, each `values[i]` / total; inverse = 1 /
    total. compact: little code, for a path that is seldom taken. least: what the total is at least; 1 gives 0 in
    a row of nothing but -inf, and changes no other, as the largest element alone counts 1."""
    vectors, tail = -(-columns // 16), columns % 16 or 16
    width, step, last_step = vectors * 16, 1 if compact else max(1, STEP // rows), 1 if compact else STEP
    unroll = 0 if compact else UNROLL

    def pieces(size: int) -> list[tuple[int, int]]:
        return [(r, i) for i in range(size) for r in range(rows)]

    def prepare(first: int, size: int, lanes: int = 16) -> None:
        for r, i in pieces(size):
            x = reuse(mask_tail(value(r, first + i), lanes, -inf))
            store_vector(scratch, r * width + (first + i) * 16, x)
            largest[r * step + i] = tirx.max(largest[r * step + i], x)

    def raise_to(first: int, size: int) -> None:
        for r, i in pieces(size):
            e = exp_nonpositive(reuse(load_vector(scratch, r * width + (first + i) * 16, 16) - largest[r * step]))
            store_vector(scratch, r * width + (first + i) * 16, e)
            total[r] = total[r] + e

    def finish(first: int, size: int) -> None:
        for r in range(rows):
            write(
                r,
                first,
                [load_vector(scratch, r * width + (first + i) * 16, 16) for i in range(size)],
                total[r],
                inverse[r],
            )

    largest, total, inverse = (
        Accumulators(rows * step, "float32"),
        Accumulators(rows, "float32"),
        Accumulators(rows, "float32"),
    )
    for i in range(rows * step):
        largest[i] = splat(-3.4028234663852886e38, "float32")
    for r in range(rows):
        total[r] = splat(0.0, "float32")
    over(vectors if tail == 16 else vectors - 1, step, prepare, unroll)
    if tail < 16:
        prepare(vectors - 1, 1, tail)
    for r in range(rows):
        for i in range(1, step):
            largest[r * step] = tirx.max(largest[r * step], largest[r * step + i])
        largest[r * step] = lane_max(largest[r * step])
    over(vectors, step, raise_to, unroll)
    for r in range(rows):
        total[r] = lane_sum(total[r])
        if least:
            total[r] = tirx.max(total[r], splat(least, "float32"))
        inverse[r] = tirx.Div(splat(1.0, "float32"), total[r])
    over(vectors, last_step, finish, unroll)


def write_bytes(
    out: tirx.Buffer, at: Callable[[int], tirx.Expr], scale: float, zero_point: int, peak: bool = False
) -> Callable[..., None]:
    """A `write` of emit_softmax: quantised with `scale` and `zero_point`; peak: (value / total) * (1 / (1 / total)) is.
    Row r begins at at(r) and has room for whole vectors."""
    divisor, inverse = (splat(float(v), "float32") for v in (np.float32(scale), np.float32(1) / np.float32(scale)))

    def write(r: int, first: tirx.Expr | int, values: list[tirx.Expr], total: tirx.Expr, reciprocal: tirx.Expr) -> None:
        shares = [exact_quotient(reuse(v), total, reciprocal) for v in values]
        if peak:  # The largest e / total is 1 / total, as e = 1 there.
            back = reuse(tirx.Div(splat(1.0, "float32"), reciprocal))
            shares = [reuse(fence(share * back)) for share in shares]
        quotients = [exact_quotient(share, divisor, inverse) for share in shares]
        store_bytes(out, at(r) + first * 16, T.Bind(round_straight(quotients, zero_point)), 16 * len(values))

    return write


def write_floats(out: tirx.Buffer, at: Callable[[int], tirx.Expr]) -> Callable[..., None]:
    """A `write` of emit_softmax: float32, IEEE divisions; row r begins at at(r)."""

    def write(r: int, first: tirx.Expr | int, values: list[tirx.Expr], total: tirx.Expr, _: tirx.Expr) -> None:
        for i, value in enumerate(values):
            store_vector(out, at(r) + (first + i) * 16, tirx.Div(value, total))

    return write
