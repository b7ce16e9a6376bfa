"""Reductions over the channels of packed float32 tensors, one row (or pixel) at a time: softmax, log_softmax, mean,
sum, argmax.

A sum adds element i to lane i % 16 in order and then halves the lanes pairwise, as the referee does."""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf

from tvm import tirx
from tvm.tirx.script import builder as T

from ... import float_math
from ...cpu.expressions import bind, load_vector, splat, store_vector
from ..elementwise.math import VectorOps
from ..kernel import built_once, emit_kernel
from ..layout import Layout
from ..vector import LANES
from ..vector_loops import Accumulators, each, tensors

_LOWEST = -3.4028234663852886e38
KINDS = ("softmax", "log_softmax", "mean", "sum", "argmax", "argmin")


@dataclass(frozen=True)
class ReduceProblem:
    """A reduction or softmax over the channels of packed rows. kind: of KINDS. source: packed float32. The softmaxes
    have a result of the source's layout; the others one value per row, in order: float32 or, for argmax and argmin,
    int64."""

    kind: str
    source: Layout

    def __post_init__(self) -> None:
        assert self.kind in KINDS and self.source.kind != "plain" and self.source.dtype == "float32", self

    @property
    def target(self) -> Layout:
        """The layout of the result: the source's for a softmax; else plain, of one value per pixel."""
        if "softmax" in self.kind:
            return self.source
        return Layout("plain", (self.source.pixels,), "int64" if self.kind.startswith("arg") else "float32")


@built_once
def reduce_rows(p: ReduceProblem) -> tirx.PrimFunc:
    """The kernel (x, y) that reduces the channels of every pixel."""
    emit = {
        "softmax": _softmax,
        "log_softmax": _softmax,
        "mean": _sum_row,
        "sum": _sum_row,
        "argmax": _extreme_row,
        "argmin": _extreme_row,
    }[p.kind]

    def body() -> None:
        x, y = tensors(x=p.source, y=p.target)
        with each(p.source.pixels, 16 * p.source.elements) as row:
            emit(p, x, y, row, bind(row * p.source.channel_stride))

    return emit_kernel(f"{p.kind}_" + "x".join(map(str, p.source.shape)), body)


def _vectors(p: ReduceProblem, body: Callable[[tirx.Expr | int, int], object]) -> None:
    """body(offset, valid): `valid` lanes of the vector at `offset`, LANES or, for the last one, less."""
    whole, rest = divmod(p.source.channels, LANES)
    if whole == 1:
        body(0, LANES)
    elif whole > 1:
        with T.serial(0, whole) as i:
            body(i * LANES, LANES)
    if rest:
        body(whole * LANES, rest)


def _kept(value: tirx.Expr, valid: int, neutral: float) -> tirx.Expr:
    """`value` with `neutral` in the lanes that belong to no channel."""
    if valid == LANES:
        return value
    return tirx.Select(tirx.LT(tirx.Ramp(0, 1, LANES), splat(valid, "int32")), value, splat(neutral, "float32"))


def _halved(sums: Accumulators, combine: Callable[[tirx.Expr, tirx.Expr], tirx.Expr]) -> tirx.Expr:
    """All lanes of `sums` (an accumulator of one vector) combined pairwise: lane j with j + 8, then j + 4, j + 2, j +
    1."""
    for half in (8, 4, 2, 1):
        value = sums[0]
        sums[0] = combine(value, tirx.Shuffle([value], [(lane + half) % LANES for lane in range(LANES)]))
    return sums.buffer[0]


def _reduced(
    p: ReduceProblem,
    start: float,
    dtype: str,
    read: Callable[[tirx.Expr | int, int], tirx.Expr],
    combine: Callable[[tirx.Expr, tirx.Expr], tirx.Expr],
) -> tirx.Expr:
    """One value: `combine` over read(offset, valid)."""
    sums = Accumulators(1, dtype)
    sums[0] = splat(start, dtype)

    def step(at: tirx.Expr | int, valid: int) -> None:
        sums[0] = combine(sums[0], read(at, valid))

    _vectors(p, step)
    return bind(_halved(sums, combine))


def _softmax(p: ReduceProblem, x: tirx.Buffer, y: tirx.Buffer, row: tirx.Expr | int, start: tirx.Expr | int) -> None:
    largest = splat(
        _reduced(
            p, _LOWEST, "float32", lambda at, valid: _kept(load_vector(x, start + at, LANES), valid, _LOWEST), tirx.max
        ),
        "float32",
    )

    def power(at: tirx.Expr | int, valid: int) -> tirx.Expr:
        value = float_math.exp(VectorOps, VectorOps.sub(load_vector(x, start + at, LANES), largest))
        store_vector(y, start + at, value)
        return _kept(value, valid, 0.0)

    total = splat(_reduced(p, 0.0, "float32", power, lambda a, b: a + b), "float32")
    if p.kind == "softmax":
        _vectors(p, lambda at, valid: store_vector(y, start + at, tirx.Div(load_vector(y, start + at, LANES), total)))
        return
    shift = float_math.log(VectorOps, total)
    _vectors(p, lambda at, valid: store_vector(y, start + at, (load_vector(x, start + at, LANES) - largest) - shift))


def _sum_row(p: ReduceProblem, x: tirx.Buffer, y: tirx.Buffer, row: tirx.Expr | int, start: tirx.Expr | int) -> None:
    total = _reduced(
        p, 0.0, "float32", lambda at, valid: _kept(load_vector(x, start + at, LANES), valid, 0.0), lambda a, b: a + b
    )
    T.buffer_store(
        y, tirx.Div(total, tirx.const(float(p.source.channels), "float32")) if p.kind == "mean" else total, [row]
    )


def _extreme_row(
    p: ReduceProblem, x: tirx.Buffer, y: tirx.Buffer, row: tirx.Expr | int, start: tirx.Expr | int
) -> None:
    """The first place of the extreme value: its value first, then the smallest index that holds it."""
    pick, neutral = (tirx.max, -inf) if p.kind == "argmax" else (tirx.min, inf)
    best = splat(
        _reduced(
            p, neutral, "float32", lambda at, valid: _kept(load_vector(x, start + at, LANES), valid, neutral), pick
        ),
        "float32",
    )
    nowhere = p.source.channels - 1

    def place(at: tirx.Expr | int, valid: int) -> tirx.Expr:
        value = load_vector(x, start + at, LANES)
        index = tirx.Ramp(0, 1, LANES) + splat(at, "int32")
        hit = tirx.Select(tirx.EQ(value, best), index, splat(nowhere, "int32"))
        return hit if valid == LANES else tirx.min(hit, splat(nowhere, "int32"))

    first = _reduced(p, nowhere, "int32", place, tirx.min)
    T.buffer_store(y, tirx.Cast("int64", first), [row])
