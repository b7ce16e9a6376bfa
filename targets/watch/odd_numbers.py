"""The factors of output channels in checksums."""

import numpy as np

_SMALL_ATTEMPTS = 16


def odd_numbers(count: int, attempt: int) -> np.ndarray:
    """int64 [count], odd: the same on every machine. (A multiplicative hash of the index.) From -3 to 3, so that the
    coefficients that they give have few digits; from the attempt on when those keep hiding a bit, from -63 to 63."""
    index = np.arange(1, count + 1, dtype=np.uint64) + np.uint64(attempt * 7919)
    bits = 2 if attempt < _SMALL_ATTEMPTS else 6
    hashed = (index * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(64 - bits)
    return 2 * hashed.astype(np.int64) - ((1 << bits) - 1)
