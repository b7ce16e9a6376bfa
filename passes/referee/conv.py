"""Convolution and pooling windows in NumPy, for floating arrays that hold either real numbers or exact integers."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...targets.seams import Attrs
from .ordered_product import ordered_product

# So many elements of the columns are multiplied together, so that memory does not grow with the image.
_COLUMNS = 1 << 24


def windows(
    data: np.ndarray,
    kernel: Sequence[int],
    strides: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    fill: float,
) -> np.ndarray:
    """A view [N, C, OH, OW, kh, kw] of the padded data. padding: [top, left, bottom, right]."""
    top, left, bottom, right = padding
    if any(padding):
        data = np.pad(data, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=fill)
    reach = [d * (k - 1) + 1 for d, k in zip(dilation, kernel)]
    view = np.lib.stride_tricks.sliding_window_view(data, reach, axis=(2, 3))
    return view[:, :, :: strides[0], :: strides[1], :: dilation[0], :: dilation[1]]


def convolve(
    data: np.ndarray,
    weight: np.ndarray,
    strides: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> np.ndarray:
    """[N, O, OH, OW] of data [N, C, H, W] and weight [O, C / groups, kh, kw], both float32 or both float64.

    Exact for integers as long as no sum reaches 2^53 (float64)."""
    view = windows(data, weight.shape[2:], strides, padding, dilation, 0)
    n, c, oh, ow, kh, kw = view.shape
    o, depth = weight.shape[:2]
    if depth == 1:
        return _depthwise(view, weight, o // groups)
    multiply = np.matmul if data.dtype == np.float64 else ordered_product  # Sums of integers are exact in any order.
    result = np.empty((n, o, oh, ow), data.dtype)
    step, height = o // groups, max(1, _COLUMNS // (n * depth * kh * kw * ow))
    for group in range(groups):
        part, outs = view[:, group * depth : (group + 1) * depth], slice(group * step, (group + 1) * step)
        for first in range(0, oh, height):
            rows = slice(first, min(first + height, oh))
            columns = part[:, :, rows].transpose(0, 1, 4, 5, 2, 3).reshape(n, depth * kh * kw, -1)
            result[:, outs, rows] = multiply(weight[outs].reshape(step, -1), columns).reshape(n, step, -1, ow)
    return result


def _depthwise(view: np.ndarray, weight: np.ndarray, multiple: int) -> Any:
    """One input channel per output channel: tap by tap, without a matrix."""
    kh, kw = weight.shape[2:]
    result = 0
    for y in range(kh):
        for x in range(kw):
            taps = np.repeat(view[..., y, x], multiple, axis=1) if multiple > 1 else view[..., y, x]
            result = result + taps * weight[:, 0, y, x].reshape(1, -1, 1, 1)
    return result


def window_counts(
    shape: tuple[int, int],
    kernel: Sequence[int],
    strides: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int] = (1, 1),
) -> np.ndarray:
    """float32 [OH, OW]: how many elements of the image (padding not counted) lie in every pooling window."""
    ones = np.ones((1, 1, *shape), np.float32)
    return windows(ones, kernel, strides, padding, dilation, 0).sum(axis=(4, 5))[0, 0]


def ceil_padding(sizes: tuple[int, int], padding: Sequence[int], attrs: Attrs) -> list[int]:
    """padding [4] with what ceil mode needs at the bottom and on the right."""
    padding = list(padding)
    for axis, size in enumerate(sizes):
        reach = attrs["dilation"][axis] * (attrs["pool_size"][axis] - 1) + 1
        rest = (size + padding[axis] + padding[axis + 2] - reach) % attrs["strides"][axis]
        padding[axis + 2] += (attrs["strides"][axis] - rest) % attrs["strides"][axis]
    return padding
