"""Kernels of calibration: what one pass over a float tensor tells, and a histogram of values.

The summary runs inside the fp32 network, right behind the operator that made the tensor, on the layout that it has:
while the tensor is still in the cache, and without handing it out. Minimum, maximum, zeros and the check for NaN and
infinities are over all elements; for the histogram a evenly strided choice of elements is copied out (the stride shares
no factor with the number of channels, so every channel is met): 8-bit ranges do not get better from counting more of
one picture, but counting all of them costs more than the network.
Where the choice begins depends on the values, it goes on at the front when it reaches the end, and so every element is
met as often as any other over many samples. (Always the same places miss what only one place has: a transformer's first
token, which carries the outliers, was seen in an eighth of its channels.) It depends on nothing else, so shards see
what the whole sees."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from math import gcd, prod
from operator import add

import numpy as np
from tvm import tirx
from tvm.tirx.script import builder as T

from ...cpu.expressions import bind, load_vector, splat, store_vector
from ..kernel import emit_kernel
from ..layout import Layout
from ..vector_loops import PARALLEL_BYTES

LANES = 16
BLOCK = 8 * LANES
PARTS = 4  # A summary is cut into tasks, each with scratch rows of its own at the start of the result.
MINIMUM, MAXIMUM, ZEROS, NONFINITE = range(4)  # ZEROS counts; NONFINITE is 0, or NaN if there was a NaN or an infinity.
SUMMARY = PARTS * 4 * LANES  # The four values lie behind the scratch rows of all tasks.
HEADER = SUMMARY + LANES
BIG = 3.4028234663852886e38


def stride_of(elements: int, samples: int, channels: int) -> int:
    """Distance between two samples: as even as possible, prime to the number of channels."""
    stride = max(elements // samples, 1)
    while stride > 1 and gcd(stride, channels) != 1:
        stride -= 1
    return stride


PARAMETERS = 8  # A summary's int32 operands are `SummaryProblem.parameters`.
_ROWS, _LENGTH, _DISTANCE, _SAMPLES, _ROW_STEP, _COLUMN_STEP = range(6)


@dataclass(frozen=True)
class SummaryProblem:
    """Extremes, zeros and samples of a float32 tensor, gathered in one pass. layout: of the float32 tensor. samples:
    how many of its values are copied out."""

    layout: Layout
    samples: int

    def __post_init__(self) -> None:
        assert self.layout.dtype == "float32" and 0 < self.samples <= self.elements < 1 << 30, self

    @property
    def elements(self) -> int:
        """Values of the tensor, what fills up its pixels not counted."""
        return prod(self.layout.shape)

    @property
    def result(self) -> Layout:
        """The layout of the result, plain float32: the header, then the samples."""
        return Layout("plain", (HEADER + self.samples,), "float32")

    @property
    def rows(self) -> tuple[int, int, int]:
        """(rows, valid elements of a row, distance of two rows): padding channels never count."""
        layout = self.layout
        if layout.kind == "plain" or layout.channel_stride == layout.channels:
            return 1, self.elements, self.elements
        return layout.pixels, layout.channels, layout.channel_stride

    @property
    def kernel(self) -> tuple[bool, bool]:
        """(several rows, parallel): all that the code depends on."""
        rows, _, distance = self.rows
        return rows > 1, 4 * rows * distance >= PARALLEL_BYTES

    @property
    def parameters(self) -> np.ndarray:
        """int32 [PARAMETERS]: rows, length, distance, samples, and the step from one sample to the next, whole rows and
        the rest."""
        rows, length, distance = self.rows
        stride = stride_of(self.elements, self.samples, self.layout.channels if self.layout.shape else 1)
        found = [rows, length, distance, self.samples, *(divmod(stride, length) if rows > 1 else (0, stride))]
        return np.array([*found, 0, 0], np.int32)


@cache
def summary(several: bool, parallel: bool) -> tirx.PrimFunc:
    """The kernel (x, parameters, y): y is float32 [HEADER + samples]. One piece of code serves every tensor of a
    network: the extents are operands (x and y are declared with one element; kernels are called through pointers)."""

    def body() -> None:
        x, p, y = (
            T.arg("x", T.Buffer((1,), "float32")),
            T.arg("parameters", T.Buffer((PARAMETERS,), "int32")),
            T.arg("y", T.Buffer((1,), "float32")),
        )
        rows, length, distance, samples = (bind(p[i]) for i in (_ROWS, _LENGTH, _DISTANCE, _SAMPLES))
        with T.parallel(0, PARTS) if parallel else T.serial(0, PARTS) as part:
            lanes = T.alloc_buffer((4 * LANES,), "float32", scope="local")
            for row, value in ((MINIMUM, BIG), (MAXIMUM, -BIG), (ZEROS, 0.0), (NONFINITE, 0.0)):
                store_vector(lanes, row * LANES, splat(value, "float32"))
            if several:
                size = bind((rows + PARTS - 1) // PARTS)
                with T.serial(0, tirx.max(tirx.min(rows - part * size, size), 0)) as i:
                    start = bind((part * size + i) * distance)
                    with T.serial(0, length // BLOCK) as block:
                        _gather(x, lanes, start + block * BLOCK, BLOCK)
                    with T.serial(0, length % BLOCK // LANES) as block:
                        _gather(x, lanes, start + length // BLOCK * BLOCK + block * LANES, LANES)
                    with T.If(length % LANES > 0):
                        with T.Then():
                            _masked(x, lanes, start + length // LANES * LANES, length % LANES)
            else:
                _row(x, lanes, part, length)
            for row in range(4):
                store_vector(y, (part * 4 + row) * LANES, load_vector(lanes, row * LANES, LANES))
        _reduce(y)
        _choose(p, x, y, several)

    return emit_kernel(f"summary{'_rows' if several else ''}{'_parallel' if parallel else ''}", body)


def _row(x: tirx.Buffer, lanes: tirx.Buffer, part: tirx.Expr, length: tirx.Expr) -> None:
    """A contiguous tensor: the parts share its whole blocks, the last one takes the rest."""
    blocks = bind(length // BLOCK)
    size = bind((blocks + PARTS - 1) // PARTS)
    with T.serial(0, tirx.max(tirx.min(blocks - part * size, size), 0)) as i:
        _gather(x, lanes, bind((part * size + i) * BLOCK), BLOCK)
    with T.If(part == PARTS - 1):
        with T.Then():
            with T.serial(0, length % BLOCK // LANES) as i:
                _gather(x, lanes, blocks * BLOCK + i * LANES, LANES)
            _tail(x, lanes, length // LANES * LANES, length % LANES)


def _masked(x: tirx.Buffer, lanes: tirx.Buffer, start: tirx.Expr, count: tirx.Expr) -> None:
    """The first `count` lanes of a vector: the others hold anything, but there are 16."""
    value = bind(load_vector(x, start, LANES))
    valid = tirx.LT(tirx.Ramp(0, 1, LANES), tirx.Broadcast(count, LANES))
    low, high, other = (bind(tirx.Select(valid, value, splat(neutral, "float32"))) for neutral in (BIG, -BIG, 1.0))
    zero = splat(0.0, "float32")
    _update(low, high, tirx.Select(tirx.EQ(other, zero), splat(1.0, "float32"), zero), other * zero, *_whole(lanes))


def _tail(x: tirx.Buffer, lanes: tirx.Buffer, start: tirx.Expr, count: tirx.Expr) -> None:
    """`count` elements, one by one: there need be nothing behind them."""
    one, zero = tirx.const(1.0, "float32"), tirx.const(0.0, "float32")
    with T.serial(0, count) as i:
        value = bind(x[start + i])
        _update(
            value,
            value,
            tirx.Select(value == zero, one, zero),
            value * zero,
            lambda row: lanes[row * LANES + i],
            lambda row, new: T.buffer_store(lanes, new, [row * LANES + i]),
        )


def _gather(x: tirx.Buffer, lanes: tirx.Buffer, start: tirx.Expr, elements: int) -> None:
    """`elements` <= BLOCK neighbours; combined pairwise first, so that the accumulators do not wait for each other."""
    values = [bind(load_vector(x, start + at, LANES)) for at in range(0, elements, LANES)]
    zero = splat(0.0, "float32")
    zeros = [tirx.Select(tirx.EQ(value, zero), splat(1.0, "float32"), zero) for value in values]
    _update(
        _pairwise(tirx.min, values),
        _pairwise(tirx.max, values),
        _pairwise(add, zeros),
        _pairwise(add, [value * zero for value in values]),
        *_whole(lanes),
    )


def _whole(lanes: tirx.Buffer) -> tuple[Callable[[int], tirx.Expr], Callable[[int, tirx.Expr], None]]:
    return lambda row: load_vector(lanes, row * LANES, LANES), lambda row, new: store_vector(lanes, row * LANES, new)


def _update(
    low: tirx.Expr,
    high: tirx.Expr,
    zeros: tirx.Expr,
    nonfinite: tirx.Expr,
    read: Callable[[int], tirx.Expr],
    write: Callable[[int, tirx.Expr], None],
) -> None:
    write(MINIMUM, tirx.min(read(MINIMUM), low))
    write(MAXIMUM, tirx.max(read(MAXIMUM), high))
    write(ZEROS, read(ZEROS) + zeros)
    write(NONFINITE, read(NONFINITE) + nonfinite)


def _pairwise(combine: Callable[[tirx.Expr, tirx.Expr], tirx.Expr], values: Sequence[tirx.Expr]) -> tirx.Expr:
    while len(values) > 1:
        values = [combine(*values[i : i + 2]) if i + 1 < len(values) else values[i] for i in range(0, len(values), 2)]
    return values[0]


def _reduce(y: tirx.Buffer) -> None:
    """The parts and lanes of every row to one value."""
    store_vector(y, SUMMARY, splat(0.0, "float32"))
    for row, combine in ((MINIMUM, tirx.min), (MAXIMUM, tirx.max), (ZEROS, add), (NONFINITE, add)):
        vector = bind(_pairwise(combine, [load_vector(y, (part * 4 + row) * LANES, LANES) for part in range(PARTS)]))
        T.buffer_store(
            y, _pairwise(combine, [tirx.Shuffle([vector], [lane]) for lane in range(LANES)]), [SUMMARY + row]
        )


# The factors are odd and below 2^30, so that the sum of four products stays in int64.
FACTORS = (668265263, 374761393, 1013904223, 842502087)


def _first(x: tirx.Buffer, y: tirx.Buffer, middle: tirx.Expr, elements: tirx.Expr) -> tirx.Expr:
    """Where the choice begins, int32: a place in [0, elements) that four values of the tensor decide, its least, its
    largest, how many are 0, and its middle element."""
    values = [*(y[SUMMARY + row] for row in (MINIMUM, MAXIMUM, ZEROS)), x[middle]]
    mixed = tirx.const(0, "int64")
    for value, factor in zip(values, FACTORS):
        mixed = mixed + (tirx.reinterpret("int32", value) & tirx.const(0x7FFFFFFF, "int32")).astype(
            "int64"
        ) * tirx.const(factor, "int64")
    mixed, mask = bind(mixed), tirx.const(0x7FFFFFFF, "int64")
    return bind(
        (
            ((mixed ^ (mixed >> tirx.const(31, "int64"))) & mask) * elements.astype("int64") >> tirx.const(31, "int64")
        ).astype("int32")
    )


def _choose(p: tirx.Buffer, x: tirx.Buffer, y: tirx.Buffer, several: bool) -> None:
    """The samples, by their place in the logical channels-last order: row and column are counted on, a division each
    would cost more than the rest."""
    length, distance, samples, row_step, column_step = (
        bind(p[i]) for i in (_LENGTH, _DISTANCE, _SAMPLES, _ROW_STEP, _COLUMN_STEP)
    )
    elements, stride = (
        (bind(p[_ROWS] * length), bind(row_step * length + column_step)) if several else (length, column_step)
    )
    half = bind(elements // 2)
    begin = _first(x, y, _place(half, length, distance) if several else half, elements)
    first = bind(tirx.Select(samples == elements, tirx.const(0, "int32"), begin))
    before = bind(tirx.min(samples, tirx.truncdiv(elements - first + stride - 1, stride)))
    _copy(p, x, y, several, first, tirx.const(0, "int32"), before)
    _copy(p, x, y, several, bind(first + before * stride - elements), before, bind(samples - before))


def _place(element: tirx.Expr, length: tirx.Expr, distance: tirx.Expr) -> tirx.Expr:
    """Where it lies, in memory. Nothing is negative: TVM's floor division of signed operands is six times the code,
    which it copies to every use."""
    return bind(tirx.truncdiv(element, length)) * distance + bind(tirx.truncmod(element, length))


def _copy(
    p: tirx.Buffer, x: tirx.Buffer, y: tirx.Buffer, several: bool, first: tirx.Expr, at: tirx.Expr, count: tirx.Expr
) -> None:
    """`count` samples from the element `first` on, to the places from `at` on."""
    length, distance, row_step, column_step = (bind(p[i]) for i in (_LENGTH, _DISTANCE, _ROW_STEP, _COLUMN_STEP))
    if not several:
        with T.serial(0, count) as i:
            T.buffer_store(y, x[first + i * column_step], [HEADER + at + i])
        return
    cursor = T.alloc_buffer((2,), "int32", scope="local")  # The cursor is a place in memory and a column.
    with T.If(count > 0):
        with T.Then():
            T.buffer_store(cursor, _place(first, length, distance), [0])
            T.buffer_store(cursor, tirx.truncmod(first, length), [1])
    with T.serial(0, count) as i:
        T.buffer_store(y, x[cursor[0]], [HEADER + at + i])
        column = bind(cursor[1] + column_step)
        over = bind(tirx.Select(column >= length, tirx.const(1, "int32"), tirx.const(0, "int32")))
        T.buffer_store(cursor, cursor[0] + row_step * distance + column_step + over * (distance - length), [0])
        T.buffer_store(cursor, column - over * length, [1])
