"""Quotients that are rounded to bytes next: whether two instructions give every byte that the exact quotient gives,
proved for a scale.

With 1 / scale = high + low in two float32, q = fl(value * high + fl(value * low)) is the correctly rounded quotient but
for values very near a boundary of rounding (Brisebarre, Muller, Raina: "Accelerating correctly rounded floating-point
division when the divisor is known in advance"). Both q and the exact quotient grow with the value, so their roundings
to integers are equal everywhere if they are on both sides of each step."""

from fractions import Fraction
from functools import lru_cache

import numpy as np

_STEPS = 260  # Results beyond +-256 are clipped, which leaves room for a zero point and a byte.
_NEAR = 4  # A step lies among these neighbours of its centre, counted in float32 numbers on either side.


def two_parts(scale: np.float32) -> tuple[np.float32, np.float32]:
    """(high, low) of 1 / scale."""
    high = np.float32(1) / scale
    return high, np.float32(float(1 / Fraction(float(scale)) - Fraction(float(high))))


@lru_cache(maxsize=1024)
def two_parts_suffice(scale: float) -> bool:
    """Whether every step of rounding, from n to n + 1, lies between the same two neighbours for both quotients;
    negative values mirror positive ones."""
    if not 2.0**-60 < scale < 2.0**60:
        return False
    s, n = np.float32(scale), np.arange(_STEPS)
    centre = ((n + 0.5) * scale).astype(np.float32)
    near = (centre.view(np.int32)[:, None] + np.arange(-_NEAR, _NEAR + 1, dtype=np.int32)).view(np.float32)
    above = np.rint(near / s) > n[:, None]
    if above[:, 0].any() or not above[:, -1].all():
        return False
    after, before = (near[n, above.argmax(axis=1) - back] for back in (0, 1))
    return bool(np.all(_rounded(before, s) <= n) and np.all(_rounded(after, s) > n))


def _rounded(values: np.ndarray, scale: np.float32) -> np.ndarray:
    """rne(q), with the fused operation in float64: the product is exact there, and the sum rounds to float32 as if it
    were, unless it is halfway between two float32 numbers (NaN then)."""
    high, low = (np.float64(part) for part in two_parts(scale))
    product, rest = values.astype(np.float64) * high, (values * np.float32(low)).astype(np.float64)
    total = product + rest
    q = total.astype(np.float32)
    halfway = [total == (q.astype(np.float64) + np.nextafter(q, np.float32(side))) / 2 for side in (-np.inf, np.inf)]
    return np.where(halfway[0] | halfway[1], np.nan, np.rint(q))
