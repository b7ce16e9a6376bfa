"""Softmax of int8 in whole numbers (octet.softmax, see passes/ops.py): its table, and the shift of its fixed-point
reciprocal."""

import numpy as np

from . import float_math
from .float_ops import NumpyOps

ONE = 2**15  # The table holds exp(0) as this integer.
LEVELS = (127, 255)


def softmax_table(scale: float) -> np.ndarray:
    """int32 [256]: entry d is rne(2^15 * exp(-d * scale)), by the contract's own exponential."""
    steps = np.arange(256).astype(np.float32) * np.float32(scale)
    return np.rint(float_math.exp(NumpyOps, -steps) * np.float32(ONE)).astype(np.int32)


def softmax_shift(levels: int) -> int:
    """The largest shift at which levels << shift, and half a step more, is below 2^31."""
    assert levels in LEVELS, levels
    return 24 if levels == 127 else 23
