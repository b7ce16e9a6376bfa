"""The factors of output channels in checksums."""

import numpy as np


def odd_numbers(count: int, attempt: int) -> np.ndarray:
    """int64 [count], odd, from -63 to 63: the same on every machine. (A multiplicative hash of the index.)"""
    index = np.arange(1, count + 1, dtype=np.uint64) + np.uint64(attempt * 7919)
    hashed = (index * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(58)  # 6 bits
    return 2 * hashed.astype(np.int64) - 63
