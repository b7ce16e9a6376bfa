"""float32 matrix products of the referee, the same bits on every machine: a BLAS adds in an order of its own, which
differs by processor, shape and threads."""

import numpy as np

_TILE = 1 << 15  # So many sums are made together: float64 numbers that stay in the second-level cache.


def ordered_product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """float32 [.., M, K] @ [.., K, N] -> float32 [.., M, N], broadcast as np.matmul; a vector [K] is a row on the
    left and a column on the right.

    The products, which float64 holds exactly, are added in float64 in the order of K, and the sum is rounded to
    float32 once."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if b.ndim == 1:
        return ordered_product(a, b[:, None])[..., 0]
    if a.ndim == 1:
        return ordered_product(a[None], b)[..., 0, :]
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a, b = np.broadcast_to(a, (*batch, *a.shape[-2:])), np.broadcast_to(b, (*batch, *b.shape[-2:]))
    result = np.zeros((*batch, a.shape[-2], b.shape[-1]), np.float32)
    width = max(1, _TILE // max(1, a.shape[-2]))
    with np.errstate(all="ignore"):  # Infinities and NaN are results like others.
        for index in np.ndindex(batch):
            for start in range(0, b.shape[-1], width):
                columns = slice(start, start + width)
                result[*index, :, columns] = _sums(a[index], b[index][:, columns])
    return result


def _sums(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """float64 [M, N]."""
    total = np.zeros((a.shape[0], b.shape[1]))
    term = np.empty_like(total)
    for column, row in zip(np.ascontiguousarray(a.T), np.ascontiguousarray(b), strict=True):
        total += np.multiply(column[:, None], row, out=term)
    return total
