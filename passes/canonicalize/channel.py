"""Constants that act per channel."""

import numpy as np


def per_channel(value: np.ndarray, shape, axis: int) -> np.ndarray | None:
    """A constant operand of an elementwise operator as float32 [C], C = shape[axis]; None if it varies along another axis or widens the result."""
    rank, axis = len(shape), axis % len(shape)
    if value.ndim > rank:
        return None
    extents = (1,) * (rank - value.ndim) + value.shape
    if any(extent != 1 for i, extent in enumerate(extents) if i != axis) or extents[axis] not in (1, shape[axis]):
        return None
    return np.ascontiguousarray(np.broadcast_to(value.reshape(-1), (shape[axis],)), "float32")


def of_inputs(vector: np.ndarray, weight: np.ndarray, columns: int, is_conv: bool) -> np.ndarray:
    """Values per input channel as they multiply a weight, [O, columns, h, w] or [K, N]: group g of a convolution reads channels g*columns ..."""
    if not is_conv:
        return vector.reshape(-1, 1)
    groups = vector.size // columns
    rows = np.repeat(vector.reshape(groups, columns), weight.shape[0] // groups, axis=0)
    return rows.reshape(weight.shape[0], columns, 1, 1)


def scalar(value: np.ndarray | None) -> float | None:
    """A constant of one element as a Python float, else None."""
    return float(value.reshape(-1)[0]) if value is not None and value.size == 1 else None
