"""Bytes that look random and are the same everywhere, for all time: operands need not travel, and NumPy may change its
generators."""

import numpy as np


def random_bytes(seed: int, count: int) -> np.ndarray:
    """uint8 [count]: SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014),
    little-endian."""
    with np.errstate(over="ignore"):
        words = np.arange(1, -(-count // 8) + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(
            seed
        ) * np.uint64(0xD1B54A32D192ED03)
        words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        words ^= words >> np.uint64(31)
    return words.astype("<u8").view(np.uint8)[:count]
