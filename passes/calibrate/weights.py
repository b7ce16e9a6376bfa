"""Constant weights -> s8 [-127, 127] and their scales, by their largest magnitude (the paper, section 5: weights need
no calibration), or by the grid that they lie on already."""

import numpy as np

from .grid import grid_scales
from .qparams import SMALLEST_SCALE

_BIAS_LIMIT = 2.0**30  # A bias up to here leaves room in int32 for the accumulator of the products.
_BIAS_RESOLUTION = 2.0**20  # The bias of an all-zero channel gets so many steps.


def weight_scales(weight: np.ndarray, axis: int, data_scale: float, bias: np.ndarray | None) -> np.ndarray:
    """Scales, float32: [channels], or [1] if `axis` is -1 (one for the tensor). `bias`: float32 [channels] or None.

    The bias is an int32 at scale data_scale * scale: where the weights are so small beside it that it would overflow,
    the scale is raised until it fits; a channel of zeros takes a scale that resolves its bias."""
    assert np.isfinite(weight).all(), "weights must be finite"
    others = tuple(i for i in range(weight.ndim) if i != axis) if axis >= 0 else None
    largest = np.atleast_1d(np.abs(weight).max(axis=others)).astype(np.float64)
    needed = (
        np.zeros_like(largest) if bias is None else _reduce(np.abs(bias.astype(np.float64).reshape(-1)), largest.size)
    )
    grid = grid_scales(weight, axis)
    scales = np.maximum(largest / 127 if grid is None else grid, needed / (data_scale * _BIAS_LIMIT))
    of_tensor = scales.max() if scales.max() > 0 else 1 / 127
    empty = np.where(needed > 0, needed / (data_scale * _BIAS_RESOLUTION), of_tensor)
    scales = np.where(largest > 0, scales, empty)
    return np.maximum(scales, SMALLEST_SCALE).astype(np.float32)


def _reduce(bias: np.ndarray, channels: int) -> np.ndarray:
    return bias if channels == bias.size else np.full(channels, bias.max())


def quantize_weight(weight: np.ndarray, scales: np.ndarray, axis: int) -> np.ndarray:
    """The s8 codes clip(rne(w / s)) of a weight, in its shape."""
    shape = [1] * weight.ndim
    if axis >= 0:
        shape[axis] = -1
    steps = np.rint(weight.astype(np.float32) / scales.reshape(shape))
    return np.clip(steps, -128, 127).astype(np.int8)  # Only a grid that has -128 brings it here.
