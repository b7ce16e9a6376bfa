"""Stored bytes <-> int32 and float32 lanes, and the requantize step between them.

A stored byte is u8 = s8 + 128; every zero point and clip bound here is an s8 value as in passes/ops.py, the 128 is
added inside.
Two orders of lanes:
* straight: 16 neighbouring bytes are 16 lanes (`widen`, `requantize`);
* planes: 64 bytes are four int32x16, plane k lane j = byte 4j + k (`split_bytes`, `join_bytes`). Cheaper by a third,
  for kernels whose operands are all bytes.

`round_to_int` needs |x| < 2**31, which problems assert with `check_range`; of values without a bound take `limit`
first."""

import numpy as np
from tvm import tirx
from tvm.tirx.script import builder as T

from ..cpu.expressions import pure, splat, store_vector
from .intrinsics import add_bytes, fence, fma, pack_bytes, pack_interleaved, part, round_to_int
from .layout import STORED_OFFSET

LANES, BYTES = 16, 64  # One 512-bit vector has 16 float32 or int32 lanes and 64 bytes.
_PLANE_ORDER = [16 * lane + 4 * k + j for lane in range(4) for j in range(4) for k in range(4)]


def check_range(largest: float) -> None:
    """Asserts that what is rounded to int32 cannot overflow. largest: a bound of what is rounded to int32, as overflow
    proofs give it (passes/realize/overflow.py)."""
    assert abs(float(largest)) < 2.0**31, f"a requantised value could reach {largest:.3g}, beyond int32"


def widen(stored: tirx.Expr, zero_point: int | None = None) -> tirx.Expr:
    """uint8x16 -> int32x16, the s8 value minus its zero point (None: the stored value itself)."""
    words = tirx.Cast("int32x16", stored)
    return words if zero_point is None else words - splat(zero_point + STORED_OFFSET, "int32")


def to_float(words: tirx.Expr) -> tirx.Expr:
    """int32x16 -> float32x16, exact below 2**24, else to nearest even."""
    return tirx.Cast("float32x16", words)


def split_bytes(stored: tirx.Expr, zero_point: int) -> list[tirx.Expr]:
    """uint8x64 -> four planes int32x16 of (s8 - zero_point)."""
    start = splat(-(zero_point + STORED_OFFSET), "int32")
    return [add_bytes(start, stored, k) for k in range(4)]


def join_bytes(planes: list[tirx.Expr], zero_point: int, clip_min: float = -128, clip_max: float = 127) -> tirx.Expr:
    """Four planes int32x16 -> uint8x64 = clip(plane + zero_point) + 128; saturates, never wraps."""
    packed = pack_interleaved(planes, zero_point + STORED_OFFSET)
    return clip_bytes(tirx.Shuffle([packed], _PLANE_ORDER), clip_min, clip_max)


def clip_bytes(stored: tirx.Expr, clip_min: float, clip_max: float, lanes: int = BYTES) -> tirx.Expr:
    """Stored bytes clipped to s8 bounds; nothing is emitted for the bounds of the type."""
    low, high = int(clip_min) + STORED_OFFSET, int(clip_max) + STORED_OFFSET
    if low > 0:
        stored = tirx.max(stored, splat(low, "uint8", lanes))
    return tirx.min(stored, splat(high, "uint8", lanes)) if high < 255 else stored


def limited(value: tirx.Expr, bound: float = 2.0**30) -> tirx.Expr:
    """float32x16 made safe for `round_to_int`: only too large values go wrong there, too small ones (and NaN) become
    the smallest int32."""
    return tirx.min(value, splat(bound, "float32"))


def requantize(
    acc: tirx.Expr,
    multiplier: tirx.Expr,
    zero_point: int,
    clip_min: float = -128,
    clip_max: float = 127,
    residual: tirx.Expr | None = None,
) -> tirx.Expr:
    """clip(rne(f32(acc) * multiplier [+ residual]) + zero_point) + 128 as uint8x16.

    acc: int32x16. multiplier: float32x16. residual: float32x16, already multiplied. The product and the sum round
    separately."""
    scaled = to_float(acc) * multiplier
    if residual is not None:
        scaled = fence(scaled) + fence(residual)
    words = round_to_int(scaled)
    low, high = (splat(int(bound) + STORED_OFFSET, "int32") for bound in (max(clip_min, -128), min(clip_max, 127)))
    words = tirx.min(
        tirx.max(words, low - splat(zero_point + STORED_OFFSET, "int32")),
        high - splat(zero_point + STORED_OFFSET, "int32"),
    )
    return tirx.Cast("uint8x16", words + splat(zero_point + STORED_OFFSET, "int32"))


def round_planes(planes: list[tirx.Expr], zero_point: int, clip_min: float = -128, clip_max: float = 127) -> tirx.Expr:
    """Four float32x16 in plane order -> uint8x64."""
    return join_bytes([T.Bind(round_to_int(plane)) for plane in planes], zero_point, clip_min, clip_max)


def round_straight(
    vectors: list[tirx.Expr], zero_point: int, clip_min: float = -128, clip_max: float = 127
) -> tirx.Expr:
    """Up to four float32x16, neighbouring bytes in neighbouring lanes -> uint8x64 (lanes of absent vectors hold copies
    of the last)."""
    words = [T.Bind(round_to_int(vector)) for vector in vectors]
    return clip_bytes(pack_bytes(words + words[-1:] * (4 - len(words)), zero_point + STORED_OFFSET), clip_min, clip_max)


def store_bytes(buffer: tirx.Buffer, at: tirx.Expr | int, value: tirx.Expr, count: int = BYTES) -> None:
    """Writes the first `count` bytes of a uint8x64; count: a constant multiple of 4."""
    assert count % 4 == 0 and 0 < count <= BYTES, count
    done = 0
    for size in (64, 32, 16, 8, 4):
        if count & size:
            store_vector(buffer, at + done, part(value, done, size))
            done += size


def round_floats(value: tirx.Expr) -> tirx.Expr:
    """float32x16 to whole numbers, ties to even."""
    return pure("float32x16", "llvm.rint", fence(value))


def clip_floats(value: tirx.Expr, clip_min: float, clip_max: float) -> tirx.Expr:
    """float32x16 clipped; infinite bounds emit nothing. NaN passes through a lower bound as that bound."""
    if clip_min != float("-inf"):
        value = tirx.max(value, splat(float(clip_min), "float32"))
    return tirx.min(value, splat(float(clip_max), "float32")) if clip_max != float("inf") else value


def saturated_quotient(value: tirx.Expr, divisor: float) -> tirx.Expr:
    """float32x16 / divisor, rounded as IEEE division rounds, saturated at +-1024; for the steps before `round_to_int`.

    A multiplication with the reciprocal and two corrections of the exact remainder (Markstein, "IA-64 and Elementary
    Functions", theorem 8): five instructions of a half cycle each against 16 cycles of VDIVPS. Needs 2**-60 < divisor <
    2**60, so that no remainder underflows."""
    by = np.float32(divisor)
    assert 2.0**-60 < by < 2.0**60, f"scale out of range: {divisor}"
    bound, inverse, scale = (splat(float(v), "float32") for v in (by * np.float32(1024), np.float32(1) / by, by))
    value = T.Bind(tirx.max(tirx.min(value, bound), splat(-1.0, "float32") * bound))
    result = T.Bind(value * inverse)
    for _ in range(2):
        remainder = fma(value, splat(-1.0, "float32") * result, scale)
        result = T.Bind(fma(result, remainder, inverse))
    return result
