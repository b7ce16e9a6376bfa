"""A range of real values -> scale and zero point (the arithmetic contract: q = clip(rne(x / s) + z), x ~ (q - z) *
s)."""

from dataclasses import dataclass

import numpy as np

# Scales stay so far from float32's limits on both sides that products of two, divided by a third, are normal numbers.
SMALLEST_SCALE, LARGEST_SCALE = 2.0**-40, 2.0**40
LIMITS = {"affine": (-128, 127), "symmetric": (-127, 127)}


@dataclass(frozen=True)
class QParams:
    """How float values are mapped to int8 codes: code = round(value / scale) + zero_point.

    scale: float32 value > 0. zero_point: in [-128, 127], 0 if symmetric. scheme: see LIMITS for the integer
    range."""

    scale: float
    zero_point: int
    scheme: str

    @property
    def range(self) -> tuple[float, float]:
        """The real values of the smallest and the largest integer."""
        low, high = LIMITS[self.scheme]
        return (low - self.zero_point) * self.scale, (high - self.zero_point) * self.scale


def choose(low: float, high: float, scheme: str) -> QParams:
    """The qparams of the range [low, high], widened to hold 0 so that 0 is exactly representable.
    An empty range (a tensor that is constantly 0) gets scale 1."""
    low, high = min(float(low), 0.0), max(float(high), 0.0)
    assert np.isfinite(low) and np.isfinite(high), (low, high)
    if low == high:
        return QParams(1.0, 0, scheme)
    if scheme == "symmetric":
        return QParams(_scale(max(-low, high) / 127), 0, scheme)
    scale = _scale((high - low) / 255)
    return QParams(scale, int(np.clip(np.rint(-128 - low / scale), -128, 127)), scheme)


def _scale(value: float) -> float:
    return float(np.float32(max(value, SMALLEST_SCALE)))


def codes_of(x: np.ndarray, qparams: QParams) -> np.ndarray:
    """The s8 codes of values, in float32 arithmetic as the contract says."""
    low, high = LIMITS[qparams.scheme]
    return np.clip(
        np.rint(np.asarray(x, np.float32) / np.float32(qparams.scale)) + qparams.zero_point, low, high
    ).astype(np.int8)
