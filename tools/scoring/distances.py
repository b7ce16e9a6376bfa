"""How far an output is from a reference of its shape.

An output that is not finite where the reference is scores worst: a NaN compares as false with everything and would pass
every gate. Where the reference itself is not finite (the -inf of a mask) there is nothing to compare, and the place
does not count."""

import numpy as np

MOST_DB = 200.0


def mse(output, reference):
    """Mean squared error over all elements; infinite where an output is not finite."""
    difference, _ = _differences(output, reference)
    return float(np.mean(difference**2))


def cosine(output, reference):
    """Mean over the samples of the cosine between output and reference; two zero vectors count as equal. -1 for a
    sample that is not finite."""
    difference, exact = (x.reshape(len(x), -1) for x in _differences(output, reference))
    broken = ~np.isfinite(difference).all(axis=1)
    a, b = exact + np.where(broken[:, None], 0.0, difference), exact
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    dots = (a * b).sum(axis=1)
    same = ~a.any(axis=1) & ~b.any(axis=1)
    cosines = np.where(same, 1.0, np.divide(dots, norms, out=np.zeros_like(dots), where=norms > 0))
    return float(np.mean(np.where(broken, -1.0, cosines)))


def sqnr(output, reference):
    """Signal to quantisation noise in dB: the reference's energy over that of the difference, from -200 (also for an
    output that is not finite) to 200."""
    difference, exact = _differences(output, reference)
    noise, signal = np.sum(difference**2), np.sum(exact**2)
    if not np.isfinite(noise):
        return -MOST_DB
    return float(np.clip(10 * np.log10(max(signal, 1e-30) / noise), -MOST_DB, MOST_DB)) if noise > 0 else MOST_DB


def _differences(output, reference):
    """(difference, reference) as float64, both 0 where the reference is not finite; the difference is infinite where
    only the output is not."""
    exact = reference.astype(np.float64)
    counted = np.isfinite(exact)
    value = np.where(counted, output.astype(np.float64), 0.0)
    exact = np.where(counted, exact, 0.0)
    return np.where(np.isfinite(value), value - exact, np.inf), exact
