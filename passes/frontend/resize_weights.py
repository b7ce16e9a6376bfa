"""Along one axis: where the elements of a resized tensor lie in the tensor, and the weights that they take its elements
with. Equations: ONNX, Resize."""

import numpy as np


def positions(
    coordinates: str, count: int, scale: np.float32, extent: int, region: tuple[float, float] = (0.0, 1.0)
) -> np.ndarray:
    """Where each of `count` elements of the result lies among `extent`; in float32 as other runtimes compute it, which
    decides ties of nearest.
    region: the part of the extent that tf_crop_and_resize takes, its ends between 0 and 1."""
    out = np.arange(count, dtype="float32")
    if coordinates == "asymmetric":
        return out / scale
    if coordinates == "align_corners":
        return out * np.float32((extent - 1) / max(count - 1, 1))
    if coordinates == "tf_crop_and_resize":
        first, last = (np.float32(end) for end in region)
        if count == 1:
            return out + np.float32(0.5) * (first + last) * (extent - 1)
        return first * (extent - 1) + out * (last - first) * (extent - 1) / (count - 1)
    if coordinates == "tf_half_pixel_for_nn":
        return (out + np.float32(0.5)) / scale
    if coordinates == "half_pixel_symmetric":
        adjustment = np.float32(count) / (scale * np.float32(extent))
        return np.float32(extent / 2) * (1 - adjustment) + (out + np.float32(0.5)) / scale - np.float32(0.5)
    if coordinates == "pytorch_half_pixel" and count == 1:
        return out * 0.0
    return (out + np.float32(0.5)) / scale - np.float32(0.5)


def rounded_positions(position: np.ndarray, rounding: str) -> np.ndarray:
    """Positions (float) as indices, rounded as ONNX's nearest_mode says."""
    if rounding == "floor":
        return np.floor(position)
    if rounding == "ceil":
        return np.ceil(position)
    return np.ceil(position - 0.5) if rounding == "round_prefer_floor" else np.floor(position + 0.5)


def weights(
    position: np.ndarray, extent: int, mode: str, scale: float, antialias: bool, alpha: float, exclude: bool
) -> np.ndarray:
    """float32 [extent, positions], columns that add up to 1. mode: "linear" or "cubic" (with `alpha`). antialias: where
    it shrinks (scale < 1), the kernel is as much wider. exclude: what lies outside has no weight, instead of the weight
    of the end."""
    narrowed, radius = min(float(scale), 1.0) if antialias else 1.0, 1 if mode == "linear" else 2
    first = int(np.floor(-radius / narrowed)) + 1
    left = np.ceil(position.astype("float64")) - 1  # The distance to `left` is in (0, 1].
    taps = left[:, None] + np.arange(first, 2 - first)
    distance = np.abs(taps - position[:, None]) * narrowed
    found = np.clip(1 - distance, 0, 1) if mode == "linear" else _cubic(distance, alpha)
    if exclude:
        found = found * ((taps >= 0) & (taps < extent))
    matrix = np.zeros((extent, position.size))
    np.add.at(
        matrix,
        (np.clip(taps, 0, extent - 1).astype("int64"), np.arange(position.size)[:, None]),
        found / found.sum(axis=1, keepdims=True),
    )
    return matrix.astype("float32")


def _cubic(x: np.ndarray, alpha: float) -> np.ndarray:
    inner = ((alpha + 2) * x - (alpha + 3)) * x * x + 1
    outer = ((alpha * x - 5 * alpha) * x + 8 * alpha) * x - 4 * alpha
    return np.where(x <= 1, inner, np.where(x < 2, outer, 0))
