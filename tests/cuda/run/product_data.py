"""Operands of the products of int8 products: both machines make the same from a seed."""

import numpy as np

_PERIOD = 5  # After so many outputs weights repeat, so that packages travel easily.


def product_data(m: int, n: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    """int8 data [m, k] and weights [n, k]."""
    rng = np.random.default_rng(0)
    data, block = (rng.integers(-127, 128, (rows, k)).astype(np.int8) for rows in (m, _PERIOD))
    return data, block[np.arange(n) % _PERIOD]


def multiplier_of(k: int) -> np.float32:
    """Most results lie within int8."""
    return np.float32(40 / (73.5**2 * np.sqrt(k)))


def requantized(sums, k: int):
    """What our kernel makes of int32 sums (a tensor of PyTorch): int8."""
    import torch

    return (
        torch.round(sums.float() * torch.tensor(multiplier_of(k), device=sums.device)).clamp(-128, 127).to(torch.int8)
    )
