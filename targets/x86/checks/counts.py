"""Kernels that look at the stored bytes of a tensor: how many lie at the ends of their range, and where the values of a
network's input lie.

They look at every `step`-th of `groups` of period * 64 bytes (of `step` neighbours one by a fixed pattern), and at the
first `tail` bytes behind them, for which whole vectors are read.
What they count stands in the program's words at once: a tensor is looked at by one thread, in a microsecond or two."""

from collections.abc import Callable

from tvm import tirx
from tvm.tirx.script import builder as T

from ...cpu.expressions import bind, load_vector, pure, splat
from ..intrinsics import dot4, dot4_safe
from ..isa import current
from ..kernel import argument, emit_kernel
from ..layout import STORED_OFFSET
from ..vector_loops import Accumulators
from .coefficients import BYTES

_CHAINS = 4  # A dot product waits for the one before it, so sums grow side by side.


def count_ends(groups: int, step: int, period: int, tail: int, high: int, low: bool) -> tirx.PrimFunc:
    """PrimFunc(data u8[], values s8[period * 64], words s32[1 + low]): how many bytes are `high`, and, if `low`, how
    many are 0. values: 1 where there is a value, 0 for padding."""
    return emit_kernel(f"ends_{groups}x{period}", lambda: _count_ends(groups, step, period, tail, high, low))


def _count_ends(groups: int, step: int, period: int, tail: int, high: int, low: bool) -> None:
    data, values = (
        argument("data", (groups + (tail > 0)) * period * BYTES, "uint8"),
        argument("values", period * BYTES, "int8"),
    )
    words, width = argument("words", 1 + low, "int32"), 4 * current().lanes
    sums = _Sums(1 + low)

    def look(at: tirx.Expr | int, i: int, left: int) -> None:
        x, valid = bind(load_vector(data, at, width)), _valid(load_vector(values, i * width, width), left)
        sums.add(0, i, pure(f"uint8x{width}", "llvm.usub.sat", x, splat(high - 1, "uint8", width)), valid)
        if low:
            sums.add(1, i, pure(f"uint8x{width}", "llvm.usub.sat", splat(1, "uint8", width), x), valid)

    _look(groups, step, period, tail, look)
    sums.store(words)


def moments(groups: int, step: int, period: int, tail: int, parts: int) -> tirx.PrimFunc:
    """PrimFunc(data u8[], members s8[parts * period * 64], words s32[2 * parts]): of every part of the channels the sum
    of its bytes, then of every part the sum of their distances from the middle of the range. members: 1 where a byte is
    of that part."""
    return emit_kernel(f"moments_{groups}x{period}x{parts}", lambda: _moments(groups, step, period, tail, parts))


def _moments(groups: int, step: int, period: int, tail: int, parts: int) -> None:
    data, members = (
        argument("data", (groups + (tail > 0)) * period * BYTES, "uint8"),
        argument("members", parts * period * BYTES, "int8"),
    )
    words, width = argument("words", 2 * parts, "int32"), 4 * current().lanes
    sums, middle = _Sums(2 * parts), splat(STORED_OFFSET, "uint8", width)

    def look(at: tirx.Expr | int, i: int, left: int) -> None:
        x = bind(load_vector(data, at, width))
        above, below = (pure(f"uint8x{width}", "llvm.usub.sat", *pair) for pair in ((x, middle), (middle, x)))
        distance = bind(above | below)
        for part in range(parts):
            member = bind(_valid(load_vector(members, part * period * BYTES + i * width, width), left))
            sums.add(part, i, x, member)
            sums.add(parts + part, i, distance, member)

    _look(groups, step, period, tail, look)
    sums.store(words)


def _look(groups: int, step: int, period: int, tail: int, look: Callable[[tirx.Expr | int, int, int], None]) -> None:
    """look(first byte, number in the group, bytes of the data that are left) of every vector."""
    width = 4 * current().lanes

    def group(number: tirx.Expr | int, inside: int) -> None:
        for i in range(-(-inside // width)):
            look(number * (period * BYTES) + i * width, i, inside - i * width)

    with T.serial(0, groups // step) as number:
        group(
            number if step == 1 else bind(number * step + tirx.floormod(number * 5 + tirx.floordiv(number, 3), step)),
            period * BYTES,
        )
    if tail:
        group(groups, tail)


def _valid(values: tirx.Expr, left: int) -> tirx.Expr:
    """The vector without the bytes behind the first `left`."""
    width = 4 * current().lanes
    return (
        values
        if left >= width
        else tirx.Shuffle([values, splat(0, "int8", width)], [lane if lane < left else width for lane in range(width)])
    )


class _Sums:
    """`count` sums over bytes, each in several chains of lanes."""

    def __init__(self, count: int) -> None:
        self._count, self._lanes, self._chains = count, current().lanes, max(1, _CHAINS // count)
        self._held = Accumulators(count * self._chains, "int32", self._lanes)
        for i in range(count * self._chains):
            self._held[i] = splat(0, "int32", self._lanes)

    def add(self, number: int, vector: int, data: tirx.Expr, weights: tirx.Expr) -> None:
        """Adds the bytes of a vector to a sum, each times its weight, 0 or 1."""
        i = number * self._chains + vector % self._chains
        self._held[i] = (dot4 if current().vnni else dot4_safe)(self._held[i], data, weights)

    def store(self, words: tirx.Buffer) -> None:
        for number in range(self._count):
            total = self._held[number * self._chains]
            for chain in range(1, self._chains):
                total = total + self._held[number * self._chains + chain]
            T.buffer_store(words, pure("int32", "llvm.vector.reduce.add", total), [number])
