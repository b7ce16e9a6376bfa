"""Pieces of kernels that reduce a row of float32 vectors: loops, horizontal sums, exact quotients, the exponential of
softmax.

The order of every sum is that of `sum16` in passes/referee/floats.py."""

from collections.abc import Callable

from tvm import tirx
from tvm.tirx.script import builder as T

from ...cpu.expressions import const, pure, splat
from ..intrinsics import fence, fma, scale_by_power
from ..vector_loops import reuse

UNROLL = 8  # The loop over a row of more vectors is not written out.


def over(count: int, step: int, body: Callable[..., None], unroll: int = UNROLL) -> None:
    """body(first, size) over [0, count) vectors, `step` at a time; a row of up to `unroll` is unrolled."""
    whole = count // step
    if count <= unroll or whole <= 1:
        for first in range(0, count, step):
            body(first, min(step, count - first))
        return
    with T.serial(0, whole) as i:
        body(i * step, step)
    if count % step:
        body(whole * step, count % step)


def lane_sum(vector: tirx.Expr, dtype: str = "float32") -> tirx.Expr:
    """The sum of 16 lanes of a dtype, halved pairwise, in every lane."""
    return _across(vector, lambda a, b: a + b, dtype)


def lane_max(vector: tirx.Expr) -> tirx.Expr:
    """The largest of 16 lanes."""
    return _across(vector, tirx.max)


def _across(
    vector: tirx.Expr, combine: Callable[[tirx.Expr, tirx.Expr], tirx.Expr], dtype: str = "float32"
) -> tirx.Expr:
    for half in (8, 4, 2, 1):
        vector = reuse(vector, dtype)
        vector = combine(vector, tirx.Shuffle([vector], [(i + half) % 16 for i in range(16)]))
    return reuse(tirx.Shuffle([reuse(vector, dtype)], [0] * 16), dtype)


def reduce_two(
    combine: Callable[[tirx.Expr, tirx.Expr], tirx.Expr], first: tirx.Expr, second: tirx.Expr | None = None
) -> list[tirx.Expr]:
    """The 16 lanes of one or two vectors combined by a commutative operation, halved pairwise as in lane_sum: a list of
    scalars."""
    if second is None:
        vector, lanes = first, 16
    else:
        halves = [reuse(tirx.Shuffle([first, second], [*range(h, h + 8), *range(16 + h, 24 + h)])) for h in (0, 8)]
        vector, lanes = combine(*halves), 8
    while lanes > 1:
        lanes //= 2
        vector = reuse(vector)
        vector = combine(vector, tirx.Shuffle([vector], [i ^ lanes for i in range(16)]))
    vector = reuse(vector)
    return [tirx.Shuffle([vector], [i]) for i in ((0,) if second is None else (0, 8))]


def mask_tail(value: tirx.Expr, lanes: int, fill: float) -> tirx.Expr:
    """The vector with everything behind its first `lanes` lanes replaced."""
    if lanes >= 16:
        return value
    return tirx.Select(
        tirx.LT(tirx.Ramp(const(0, "int32"), const(1, "int32"), 16), splat(lanes, "int32")),
        value,
        splat(fill, "float32"),
    )


def exact_quotient(value: tirx.Expr, divisor: tirx.Expr, inverse: tirx.Expr) -> tirx.Expr:
    """value / divisor, rounded as IEEE division rounds, with inverse = 1 / divisor (rounded): see `quotient` in
    vector.py. Where the quotient is below 2**-100 its last bit may differ."""
    negative = reuse(splat(-0.0, "float32") - value)
    result = reuse(value * inverse)
    for _ in range(2):
        remainder = reuse(fma(negative, result, divisor))  # The remainder is result * divisor - value.
        result = reuse(fma(result, splat(0.0, "float32") - remainder, inverse))
    return result


def exp_nonpositive(x: tirx.Expr) -> tirx.Expr:
    """targets/float_math.exp for x <= 0, to the bit: one scaling by 2 ** n is exact there."""
    low = splat(-87.33654, "float32")
    clamped = reuse(tirx.max(x, low))
    n = reuse(pure("float32x16", "llvm.rint", fence(clamped * splat(1.44269504088896341, "float32"))))
    r = reuse(clamped - fence(n * splat(0.693359375, "float32")))
    r = reuse(r - fence(n * splat(-2.12194440e-4, "float32")))
    p = splat(1.9875691500e-4, "float32")
    for c in (1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1):
        p = reuse(fence(p * r) + splat(c, "float32"))
    p = reuse(fence(p * fence(r * r)) + r)
    p = reuse(p + splat(1.0, "float32"))
    return reuse(tirx.Select(tirx.LT(x, low), splat(0.0, "float32"), scale_by_power(p, n)))
