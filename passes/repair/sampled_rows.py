"""Layers as matrix products: weights as [groups, K, outputs per group], and rows [R, groups, K] of their inputs at
sampled places."""

import numpy as np

from ...targets.seams import Attrs


def as_matrix(weight: np.ndarray, groups: int) -> np.ndarray:
    """OIHW -> [G, K, O / G]; [K, N] -> [1, K, N]."""
    if weight.ndim == 2:
        return weight[None]
    return np.ascontiguousarray(weight.reshape(groups, weight.shape[0] // groups, -1).transpose(0, 2, 1))


def from_matrix(matrix: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Weights in their own shape from the matrices that `as_matrix` made of them."""
    if len(shape) == 2:
        return matrix.reshape(shape)
    return np.ascontiguousarray(matrix.transpose(0, 2, 1)).reshape(shape)


def sampled_places(
    shape: tuple[int, ...],
    count: int,
    attrs: Attrs | None,
    kernel: tuple[int, ...],
    rng: np.random.Generator,
    kept: np.ndarray | None = None,
) -> np.ndarray:
    """int [count', 3]: (image, row, column) of outputs of a convolution; [count', 1] of rows of a linear layer. attrs:
    of the convolution.
    kept: bool, which rows of a linear layer are no padding; where it says so of none, or is of other rows, all
    count."""
    if attrs is None:
        rows = np.arange(np.prod(shape[:-1], dtype=int))
        real = rows[kept] if kept is not None and kept.size == rows.size and kept.any() else rows
        return rng.choice(real, min(count, real.size), replace=False)[:, None]
    top, left, bottom, right = attrs["padding"]
    (sh, sw), (dh, dw) = attrs["strides"], attrs["dilation"]
    height = (shape[2] + top + bottom - dh * (kernel[0] - 1) - 1) // sh + 1
    width = (shape[3] + left + right - dw * (kernel[1] - 1) - 1) // sw + 1
    chosen = rng.choice(shape[0] * height * width, min(count, shape[0] * height * width), replace=False)
    return np.stack([chosen // (height * width), chosen // width % height, chosen % width], 1)


def rows_at(
    value: np.ndarray, where: np.ndarray, attrs: Attrs | None, kernel: tuple[int, ...], groups: int
) -> np.ndarray:
    """The rows that a layer reads at some of its places, float32 [R, G, K]."""
    if attrs is None:
        return value.reshape(-1, 1, value.shape[-1])[where[:, 0]].astype(np.float32)
    top, left, bottom, right = attrs["padding"]
    (sh, sw), (dh, dw) = attrs["strides"], attrs["dilation"]
    padded = np.pad(value, ((0, 0), (0, 0), (top, bottom), (left, right)))
    y = where[:, 1, None] * sh + np.arange(kernel[0]) * dh
    x = where[:, 2, None] * sw + np.arange(kernel[1]) * dw
    patches = padded[where[:, 0, None, None], :, y[:, :, None], x[:, None, :]]  # The shape is [R, kh, kw, C].
    return np.ascontiguousarray(patches.transpose(0, 3, 1, 2)).reshape(len(where), groups, -1)
