"""Matrix products with one answer on every machine, at the speed of its BLAS, which adds in an order of its own:

    a @ b  ->  2^-e a' @ b'        a', b' integers: a and b on grids of powers of two

The grids have as many steps as keep every partial sum below 2^53. There float64 is exact, so no order of the sums and
no FMA changes a bit. What is lost is the rounding to the grids: with 4,096 terms 2^-21 of the largest element."""

import numpy as np

_EXACT = 53  # Float64 holds integers of so many bits.


def exact_product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """[.., M, K] @ [.., K, N] -> float64 [.., M, N]. Finite numbers."""
    bits = (_EXACT - int(a.shape[-1]).bit_length()) // 2
    (a, a_step), (b, b_step) = _on_grid(a, bits), _on_grid(b, bits)
    return np.ldexp(a @ b, a_step + b_step)


def _on_grid(x: np.ndarray, bits: int) -> tuple[np.ndarray, int]:
    """(integers of that many bits, as float64, the exponent of their unit)."""
    largest = float(np.abs(x).max(initial=0))
    unit = int(np.frexp(largest)[1]) - bits
    return np.rint(np.ldexp(np.asarray(x, np.float64), -unit)), unit
