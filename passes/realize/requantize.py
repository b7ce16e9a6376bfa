"""The arithmetic of scales: multipliers, quantised constants, clip bounds. The one place where they are defined.

multiplier = f32(f64(s_x) * f64(s_w) / f64(s_y))        s_* are float32 values; computed in float64, rounded once
quantise   = clip(rne(f32(x / s)) + z, -128, 127)       x / s in float32, as R.quantize does at run time
bias       = rne(f64(b) / (f64(s_x) * f64(s_w)))        in float64
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..ops import QMAX, QMIN


@dataclass(frozen=True)
class TensorQParams:
    """Scale (a float32 value) and zero point (an s8 value) of a whole tensor: x ~ (q - zero_point) * scale."""

    scale: float
    zero_point: int

    def __post_init__(self) -> None:
        assert np.isfinite(self.scale) and self.scale > 0, f"scale {self.scale} of a quantised tensor"
        assert QMIN <= self.zero_point <= QMAX, f"zero point {self.zero_point} of an int8 tensor"

    def quantize(self, values: np.ndarray | float | list[float]) -> np.ndarray:
        """The int8 codes of a float32 array."""
        values = np.asarray(values, np.float32)
        with np.errstate(over="ignore", invalid="ignore"):
            return np.clip(np.rint(values / np.float32(self.scale)) + np.float32(self.zero_point), QMIN, QMAX).astype(
                np.int8
            )

    def dequantize(self, values: np.ndarray) -> np.ndarray:
        """The float32 values of int8 codes."""
        return (np.asarray(values, np.int32) - self.zero_point).astype(np.float32) * np.float32(self.scale)

    def bounds(self, low: float, high: float) -> tuple[int, ...]:
        """The clip bounds of a float clip in the quantised domain: rounding is monotone, so clip and quantise
        commute."""
        return int(self.quantize(low)), int(self.quantize(high))


def qparams(scale: Any, zero_point: Any) -> TensorQParams | None:
    """QParams of constant operands of R.quantize / R.dequantize; None unless both hold one value and suit int8."""
    if scale is None or zero_point is None or np.size(scale) != 1 or np.size(zero_point) != 1:
        return None
    scale, zero_point = float(np.asarray(scale, np.float32).reshape(())), int(np.asarray(zero_point).reshape(()))
    if not (np.isfinite(scale) and scale > 0 and QMIN <= zero_point <= QMAX):
        return None
    return TensorQParams(scale, zero_point)


def multiplier(numerators: list[np.ndarray | float], denominator: float = 1.0) -> Any:
    """f32 of the product of the numerators (float32 scalars or arrays) over the denominator, computed in float64."""
    product: np.ndarray | np.float64 = np.float64(1.0)
    for numerator in numerators:
        product = product * np.asarray(numerator, np.float32).astype(np.float64)
    return (product / np.float64(np.float32(denominator))).astype(np.float32)
