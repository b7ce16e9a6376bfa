"""Constants that act per channel: which axis they run along, and how they are folded into a layer's weights."""

import numpy as np


def channel_values(value: np.ndarray, shape: tuple[int, ...], axis: int) -> np.ndarray | None:
    """A constant operand of an elementwise operator as float32 [C], C = shape[axis]; None if it varies along another
    axis or widens the result, or where a tensor of rank 0 has no channels."""
    rank = len(shape)
    if value.ndim > rank or rank == 0:
        return None
    axis, extents = axis % rank, (1,) * (rank - value.ndim) + value.shape
    if any(extent != 1 for i, extent in enumerate(extents) if i != axis) or extents[axis] not in (1, shape[axis]):
        return None
    return np.ascontiguousarray(np.broadcast_to(value.reshape(-1), (shape[axis],)), "float32")


def by_input(weight: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """A layer's weight times a value per input channel. weight: [O, columns, h, w] of a convolution, whose group g
    reads channels g*columns ..., or [K, N]."""
    if weight.ndim == 2:
        return weight * vector.reshape(-1, 1)
    outputs, columns = weight.shape[:2]
    groups = vector.size // columns
    return weight * np.repeat(vector.reshape(groups, columns), outputs // groups, axis=0).reshape(
        outputs, columns, 1, 1
    )


def behind(weight: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """The float32 term behind a layer that a term per input channel in front of it becomes."""
    term = by_input(weight, shift).sum(axis=0 if weight.ndim == 2 else (1, 2, 3), dtype="float64").astype("float32")
    return term if weight.ndim == 2 else term.reshape(1, -1, 1, 1)


def one_value(value: np.ndarray | None) -> float | None:
    """A constant of one element as a Python float, else None."""
    return float(value.reshape(-1)[0]) if value is not None and value.size == 1 else None
