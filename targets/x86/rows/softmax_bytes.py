"""Softmax of rows whose results are bytes: every row approximately and, where rounding to bytes could show a
difference, once more exactly.

The contract is byte = clip(rne(fl(fl(e / total) / scale)) + zero point) with e = exp(fl(x - largest)) as in
targets/float_math.py and the sum of sum16. Computed to the bit that is dozens of instructions per vector. But a byte
shows 8 of 24 bits: with e' = 2 ** (x log2(e) - c) of a short polynomial and FMAs, y = e' / total' / scale differs from
the contract's quotient by a factor within 1 +- `quotient_error`, so where y (1 - error) and y (1 + error) round to the
same byte, that is the byte. Rows with an element where they do not (few) are computed by emit_softmax.

With `peak` the row is multiplied by 1 / its largest value: fl(fl(e / total) * fl(1 / fl(1 / total))) / scale,
approximately e' / top' / scale with the exponential top' of the largest element, computed as the others are, so that
what they have in common cancels.

With zero point 0 (y up to 127) y is rounded as 2 y + 257: in [256, 512) a float32 has 15 bits behind the point, and
byte 2 of its word is floor(y + 0.5) + 128, the stored byte. With -128 (y up to 255) it is y + 256.5, and the byte
floor(y + 0.5) begins a bit lower."""

from collections.abc import Callable
from dataclasses import dataclass
from math import log

import numpy as np
from tvm import tirx
from tvm.tirx.script import builder as T

from ...cpu.expressions import bind, const, load_vector, pure, splat, store_vector
from ..intrinsics import fma, fraction_and_scale, third_bytes
from ..vector import store_bytes
from ..vector_loops import Accumulators, reuse
from .row_pieces import mask_tail, over, reduce_two
from .softmax_exact import STEP, emit_softmax, write_bytes

_LOG2_E = float(np.log2(np.e))
# The polynomial is 2 ** f for f in [0, 1]: minimax in relative error (Lawson's algorithm), rounded to float32.
_POWER = (1.0000026226043701, 0.6930038332939148, 0.2414427548646927, 0.052011460065841675, 0.013534167781472206)
_POWER_ERROR = 2.63e-6
_UNIT = 2.0**-24  # Rounding to nearest errs by at most half a unit in the last place of 1.0.
_LARGEST_ERROR = 1e-3  # With a larger error too many rows would be computed twice.
# Where total is in [2 ** -1, 2 ** 15), (bits(total) - the first) & the second is 0.
_TOTAL_BITS = (0x3F000000, 0xF8000000)
# A row keeps five float32 values: -largest * log2(e), the factors (1 - error) and (1 + error), the total, and what
# stands for 1: the total, or the largest exponential (before that, the largest element).
_PER_ROW = 5
# The bytes are those of exponentials between two stages, which share the first-level cache with the sums and the second
# operand.
_STAGE_BYTES = 4 << 10


def quotient_error(columns: int, scale: float, peak: bool = False) -> float:
    """Bound of |y / (the contract's quotient) - 1| for elements with y >= 0.49; smaller ones are far from a rounding
    boundary.

    Per exponential: the polynomial, roundings of its evaluation and of the contract's (4 units), a common factor 2 ** s
    of all of them, |s| < 17, of which only the rounding of s + t counts; and 2.5 units times the distance d of x from
    the largest: e ** -d >= 0.49 scale in an element that matters, and the mean of d weighted with e ** -d is below
    log(columns). Per total: one rounding for each of its additions, here and in the contract; with `peak` the total
    cancels, and three more roundings of the contract's remain."""
    exponential = _POWER_ERROR + 30 * _UNIT
    distance = 2.5 * _UNIT * (max(0.0, log(2.1 / scale)) + log(columns + 1))
    total = 2 * (-(-columns // 16) + 4) * _UNIT
    return 1.05 * (2 * exponential + distance + (4 * _UNIT if peak else total) + 10 * _UNIT)


def staged_rows(columns: int, rows: int) -> int:
    """Rows that go through each stage together: the largest divisor of `rows` whose exponentials stay in the cache."""
    fit = max(1, _STAGE_BYTES // (-(-columns // 16) * 64))
    return max(count for count in range(1, min(rows, max(fit, 2)) + 1) if rows % count == 0)


def scratch_elements(columns: int, rows: int) -> int:
    """float32 elements of the scratch buffer for `rows` staged rows."""
    return rows * (-(-columns // 16) * 16 + _PER_ROW)


def emit_softmax_bytes(
    columns: int,
    rows: int,
    value: Callable[..., tirx.Expr],
    scratch: tirx.Buffer,
    out: tirx.Buffer,
    at: Callable[[int], tirx.Expr],
    scale: float,
    zero_point: int = 0,
    peak: bool = False,
) -> None:
    """`rows` rows, stage by stage, so that the reductions of one row hide behind the other rows.

    value(r, v): float32x16, vector v of row r. scratch: float32 buffer of scratch_elements. Row r is written to out
    from at(r), quantised with `scale` and `zero_point`, 0 or -128; it has room for whole vectors. peak: times 1 / its
    largest value."""
    stages = _Stages(
        columns,
        rows,
        value,
        scratch,
        out,
        at,
        float(np.float32(scale)),
        zero_point,
        quotient_error(columns, scale, peak),
        peak,
    )
    assert zero_point in (0, -128), zero_point
    approximate = stages.error <= _LARGEST_ERROR and scale > 2.0**-60  # Exponentials are at least 2 ** -126.
    if approximate:
        stages.each_group(stages.prepare)
        stages.each_group(stages.raise_to)
    stages.each_group(stages.finish if approximate else stages.exact)


@dataclass(frozen=True)
class _Stages:
    """Each of two rows side by side, if their number is even: first .. first + together."""

    columns: int
    rows: int
    value: Callable[..., tirx.Expr]
    scratch: tirx.Buffer
    out: tirx.Buffer
    at: Callable[[int], tirx.Expr]
    scale: float
    zero_point: int
    error: float
    peak: bool = False

    @property
    def together(self) -> int:
        return 2 if self.rows % 2 == 0 else 1

    @property
    def steps(self) -> int:
        """What a step counts in the sum that is rounded."""
        return 2 if self.zero_point == 0 else 1

    @property
    def vectors(self) -> int:
        return -(-self.columns // 16)

    def each_group(self, body: Callable[..., None]) -> None:
        if self.rows == self.together:
            body(0)
            return
        with T.serial(0, self.rows // self.together) as group:
            body(bind(group * self.together))

    def _pieces(self, size: int) -> list[tuple[int, int]]:
        return [(r, i) for i in range(size) for r in range(self.together)]

    def _place(self, row: tirx.Expr | int, vector: int) -> tirx.Expr | int:
        return (row * self.vectors + vector) * 16

    def _kept(self, row: tirx.Expr | int, which: int) -> tirx.Expr | int:
        return self.rows * self.vectors * 16 + row * _PER_ROW + which

    def _reduced(self, partial: Accumulators, combine: Callable[..., tirx.Expr]) -> list[tirx.Expr]:
        """Scalars, one per row, of the partial results [row * step + i]."""
        step = max(1, STEP // self.together)
        for r in range(self.together):
            for i in range(1, step):
                partial[r * step] = combine(partial[r * step], partial[r * step + i])
        return reduce_two(combine, *(reuse(partial[r * step]) for r in range(self.together)))

    def _partial(self, value: float) -> Accumulators:
        partial = Accumulators(max(STEP, self.together), "float32")
        for i in range(max(STEP, self.together)):
            partial[i] = splat(value, "float32")
        return partial

    def prepare(self, first: tirx.Expr) -> None:
        """Writes x into the scratch buffer, and -largest * log2(e)."""
        step, tail = max(1, STEP // self.together), self.columns % 16 or 16
        largest = self._partial(-3.4028234663852886e38)

        def body(start: int, size: int, lanes: int = 16) -> None:
            for r, i in self._pieces(size):
                x = reuse(mask_tail(self.value(first + r, start + i), lanes, -np.inf))
                store_vector(self.scratch, self._place(first + r, start + i), x)
                largest[r * step + i] = tirx.max(largest[r * step + i], x)

        over(self.vectors if tail == 16 else self.vectors - 1, step, body)
        if tail < 16:
            body(self.vectors - 1, 1, tail)
        for r, top in enumerate(self._reduced(largest, tirx.max)):
            top = bind(top)
            T.buffer_store(self.scratch, top * const(-_LOG2_E, "float32"), [self._kept(first + r, 0)])
            if self.peak:
                T.buffer_store(self.scratch, top, [self._kept(first + r, 4)])

    def raise_to(self, first: tirx.Expr) -> None:
        """Writes exponentials into the scratch buffer, and what belongs to their total."""
        step = max(1, STEP // self.together)
        total = self._partial(0.0)
        start = [reuse(splat(self.scratch[self._kept(first + r, 0)], "float32")) for r in range(self.together)]

        def body(begin: int, size: int) -> None:
            for r, i in self._pieces(size):
                place = self._place(first + r, begin + i)
                e = _power(reuse(fma(start[r], load_vector(self.scratch, place, 16), splat(_LOG2_E, "float32"))))
                store_vector(self.scratch, place, e)
                total[r * step + i] = total[r * step + i] + e

        over(self.vectors, step, body)
        for r, sums in enumerate(self._reduced(total, lambda a, b: a + b)):
            sums = bind(sums)
            whole = bind(self._peak(first + r, start[r])) if self.peak else sums
            inverse = bind(const(1.0, "float32") / whole)
            kept = (
                *(inverse * const(self.steps * (1 + sign * self.error) / self.scale, "float32") for sign in (-1, 1)),
                sums,
                whole,
            )
            for i, value in enumerate(kept):
                T.buffer_store(self.scratch, value, [self._kept(first + r, 1 + i)])

    def _peak(self, row: tirx.Expr | int, start: tirx.Expr) -> tirx.Expr:
        """The exponential of the row's largest element."""
        largest = splat(self.scratch[self._kept(row, 4)], "float32")
        return tirx.Shuffle([reuse(_power(reuse(fma(start, largest, splat(_LOG2_E, "float32")))))], [0])

    def finish(self, first: tirx.Expr) -> None:
        """Bytes; exactly where one is uncertain."""
        differing = Accumulators(self.together, "int32")
        lowest, mask = _TOTAL_BITS
        factors = []
        for r in range(self.together):
            low, high, total, whole = (
                reuse(splat(self.scratch[self._kept(first + r, 1 + i)], "float32")) for i in range(4)
            )
            differing[r] = (tirx.reinterpret("int32x16", total) - splat(lowest, "int32")) & splat(
                mask - (1 << 32), "int32"
            )
            # Results beyond the last code need no more: they are clipped as the contract clips, on this side of the
            # next half step.
            last = 127 - self.zero_point
            ceiling = (
                reuse(whole * splat((last + 0.25) * self.scale * (1 - 4 * self.error), "float32"))
                if (last + 0.4) * self.scale < 1
                else None
            )
            factors.append((low, high, ceiling))
        starts, middle = [bind(self.at(first + r)) for r in range(self.together)], 256 + self.steps / 2

        def body(begin: int, size: int) -> None:
            for r, (low, high, ceiling) in enumerate(factors):
                words = []
                for i in range(size):
                    e = reuse(load_vector(self.scratch, self._place(first + r, begin + i), 16))
                    e = e if ceiling is None else reuse(tirx.min(e, ceiling))
                    below, above = (
                        bind(tirx.reinterpret("int32x16", fma(splat(c, "float32"), e, k)))
                        for c, k in ((middle - 2.0**-15, low), (middle, high))
                    )
                    differing[r] = differing[r] | (below ^ above)
                    words.append(below if self.steps == 2 else bind(below << splat(1, "int32")))
                store_bytes(self.out, starts[r] + begin * 16, bind(third_bytes(words)), 16 * size)

        over(self.vectors, STEP, body)
        uncertain = differing[0] if self.together == 1 else differing[0] | differing[1]
        with T.If(pure("int32", "llvm.vector.reduce.or", uncertain & splat(-32768 * self.steps, "int32")) != 0):
            with T.Then():
                self.exact(first)

    def exact(self, first: tirx.Expr) -> None:
        write = write_bytes(self.out, lambda r: self.at(first + r), self.scale, self.zero_point, self.peak)
        # The buffer's first rows are finished, or those of this group.
        emit_softmax(
            self.columns,
            self.together,
            lambda r, v: self.value(first + r, v),
            self.scratch,
            write,
            compact=True,
            least=1.0,
        )


def _power(t: tirx.Expr) -> tirx.Expr:
    """2 ** max(t, -126), with a relative error below _POWER_ERROR plus rounding."""
    t = reuse(tirx.max(t, splat(-126.0, "float32")))
    fraction, scaled = fraction_and_scale(t)
    p = splat(_POWER[-1], "float32")
    for coefficient in _POWER[-2::-1]:
        p = reuse(fma(splat(coefficient, "float32"), p, fraction))
    return reuse(scaled(p))
