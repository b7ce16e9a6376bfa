"""The proof that no int32 accumulator and no float-to-int conversion of a layer can overflow, from its real weights.

For output channel o, activation s8 q with zero point z, q - z in [-128 - z, 127 - z]:
    |sum_k (q_k - z) w_ok| <= max(sum_k max((127 - z) w_ok, (-128 - z) w_ok), -sum_k min(...)) =: A_o
            exactly, in int64
    A_o + |bias_o| < 2^31                                         the accumulator
    (A_o + |bias_o|) * |M_o| + R < 2^31 - 2^10                    f32 -> s32 conversion; R = max|q_r - z_r| * |M_r|
A tap that falls on the padding contributes 0, which lies inside the bound. 2^10 leaves room for the rounding of f32 and
for the zero point.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..ops import QMAX, QMIN

ACCUMULATOR_LIMIT = 2**31
CONVERSION_LIMIT = 2.0**31 - 2.0**10


@dataclass(frozen=True)
class Bound:
    """The worst output channel of a layer: its largest |accumulator| and, for int8 results, the largest |value| before
    rounding."""

    accumulator: int
    converted: float


def accumulator_bounds(weight: np.ndarray, zero_point: int) -> np.ndarray:
    """int64 [O]: the largest |sum (q - zero_point) * weight| of every output channel. weight: int8 [O, ...]."""
    flat = weight.reshape(weight.shape[0], -1)
    positive = np.maximum(flat, 0).sum(axis=1, dtype=np.int64)
    negative = np.minimum(flat, 0).sum(axis=1, dtype=np.int64)
    top, bottom = QMAX - zero_point, QMIN - zero_point
    return np.maximum(positive * top + negative * bottom, -(positive * bottom + negative * top))


def largest_distance(zero_point: int) -> int:
    """The largest |q - zero_point| of an s8 value."""
    return max(QMAX - zero_point, zero_point - QMIN)


def prove(
    weight: np.ndarray,
    bias: np.ndarray,
    zero_point: int,
    multiplier: np.ndarray | float | np.floating | None = None,
    residual: Sequence[Any] | None = None,
) -> Bound | str:
    """Bound of a layer, or the reason (str) why it may overflow.

    weight int8 [O, ...]; bias int32/int64 [O]; multiplier float32 [O], None for a float32 result; residual (zero point,
    multiplier)."""
    totals = accumulator_bounds(weight, zero_point) + np.abs(bias.astype(np.int64))
    worst = int(totals.max(initial=0))
    if worst >= ACCUMULATOR_LIMIT:
        return f"an int32 accumulator could reach {worst} in output channel {int(totals.argmax())} (limit 2^31)"
    if multiplier is None:
        return Bound(worst, 0.0)
    added = 0.0 if residual is None else largest_distance(residual[0]) * abs(float(residual[1]))
    converted = totals * np.abs(np.asarray(multiplier).astype(np.float64)) + added
    largest = float(converted.max(initial=0.0))
    if not converts(largest):
        return (
            f"the requantised value could reach {largest:.3g} in output channel {int(converted.argmax())} (limit 2^31)"
        )
    return Bound(worst, largest)


def converts(largest: float) -> bool:
    """Whether a float32 value of at most this magnitude can be converted to int32 and have a zero point added."""
    return bool(largest < CONVERSION_LIMIT)
