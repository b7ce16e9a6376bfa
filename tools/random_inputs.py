"""Inputs for self-tests and timings, where no data were given."""

import numpy as np


def random_inputs(inputs) -> dict[str, np.ndarray]:
    """Deterministic: normal numbers, or zeros and ones (valid class and token indices, masks) for other types."""
    rng = np.random.default_rng(8)
    return {
        s.name: (rng.standard_normal(s.shape) if "float" in s.dtype else rng.integers(0, 2, s.shape)).astype(s.dtype)
        for s in inputs
    }
