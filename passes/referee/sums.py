"""Sums of the referee, in the order that a vector kernel can have."""

import numpy as np

F32 = np.float32


def sum16(x: np.ndarray) -> np.ndarray:
    """Sum over the last axis (kept, size 1): element i is added to partial sum i % 16 in order, then the 16 sums are
    halved pairwise (j with j + 8, then j + 4, j + 2, j + 1). All partial sums start at +0.0."""
    blocks = -(-x.shape[-1] // 16)
    padded = np.zeros(x.shape[:-1] + (blocks * 16,), F32)
    padded[..., : x.shape[-1]] = x
    padded = padded.reshape(*x.shape[:-1], blocks, 16)
    partial = np.zeros(x.shape[:-1] + (16,), F32)
    for block in range(blocks):
        partial = partial + padded[..., block, :]
    for half in (8, 4, 2, 1):
        partial = partial[..., :half] + partial[..., half : 2 * half]
    return partial


def ordered_sum(x: np.ndarray, axes: int) -> np.ndarray:
    """Sum over the trailing `axes` count of axes, element after element in row-major order; those axes are dropped."""
    flat = x.reshape(*x.shape[: x.ndim - axes], -1)
    total = np.zeros(flat.shape[:-1], F32)
    for position in range(flat.shape[-1]):
        total = total + flat[..., position]
    return total
