"""Statistics -> the range that is worth representing. All four calibrators work on the same statistics of one
calibration run.

max         keeps everything.
percentile  keeps the given per cent of the values (of a signed tensor, half of the rest is cut on each side).
entropy     the clipped range whose 8-bit version diverges least from the values' distribution (Kullback-Leibler;
            Migacz, 8-bit inference with TensorRT, GTC 2017): 4,096 bins against 256 (signed symmetric: 2,048 magnitude
            bins against 128) levels.
mse         the clipped range with the least mean squared error of rounding and clipping.
"""

from collections.abc import Callable

import numpy as np

from octet.passes.annotate.recipe import Recipe

from .qparams import LIMITS, choose
from .statistics import Statistics

_ENTROPY_BINS = {"affine": 4096, "symmetric": 2048}
_ENTROPY_LEVELS = {"affine": 256, "symmetric": 128}
# Q gives this to a bin that it lost: an end where only clipped values lie must cost something, but not everything.
_SMALLEST_PROBABILITY = 1e-6
_SHRINKS = np.linspace(0.02, 1.0, 99)
_STRIDE = 7  # The stride divides 98, so that the first and the last factor are tried.


def find_range(statistics: Statistics, recipe: Recipe, scheme: str) -> tuple[float, float]:
    """(low, high); low <= 0 <= high is not guaranteed, `qparams.choose` widens. (0, 0) for a tensor that never held a
    finite value."""
    assert recipe.calibrator != "auto", "auto is resolved by measurement before"
    low, high = statistics.range
    if low == high or recipe.calibrator == "max" or not statistics.histogram.any():
        return low, high
    if recipe.calibrator == "percentile":
        return _percentile(statistics, recipe.percentile / 100, scheme)
    return (_entropy if recipe.calibrator == "entropy" else _mse)(statistics, scheme)


def _percentile(statistics: Statistics, fraction: float, scheme: str) -> tuple[float, float]:
    if scheme == "symmetric":
        limit = statistics.quantile(fraction, of_magnitude=True)
        return -limit, limit
    low, high = statistics.range
    if low >= 0:
        return low, statistics.quantile(fraction)
    if high <= 0:
        return statistics.quantile(1 - fraction), high
    cut = (1 - fraction) / 2
    return statistics.quantile(cut), statistics.quantile(1 - cut)


def _clipped(low: float, high: float, limit: float) -> tuple[float, float]:
    return max(low, -limit), min(high, limit)


def _entropy(statistics: Statistics, scheme: str) -> tuple[float | np.float64, float | np.float64]:
    low, high = min(statistics.range[0], 0.0), max(statistics.range[1], 0.0)
    largest = max(-low, high)
    if scheme == "symmetric":
        statistics, low, high = statistics._folded(), 0.0, largest
    bins, levels = _ENTROPY_BINS[scheme], _ENTROPY_LEVELS[scheme]
    counts = statistics.linear(low, high, bins)
    counts = _without_zeros(counts, statistics.zeros * counts.sum() / max(statistics.count, 1), low, high)
    best = (np.inf, largest)
    for shrink in _SHRINKS:
        limit = largest * shrink
        clipped_low, clipped_high = _clipped(low, high, limit)
        start, stop = _span(clipped_low, clipped_high, low, high, bins)
        if stop - start < levels:
            continue
        best = min(best, (_divergence(counts, start, stop, levels), limit), key=lambda pair: pair[0])
    limit = best[1]
    return (-limit, limit) if scheme == "symmetric" else _clipped(low, high, limit)


def _span(
    clipped_low: float | np.float64, clipped_high: float | np.float64, low: float, high: float, bins: int
) -> tuple[int, int]:
    width = (high - low) / bins
    return int(np.rint((clipped_low - low) / width)), int(np.rint((clipped_high - low) / width))


def _without_zeros(counts: np.ndarray, zeros: np.float64, low: float, high: float) -> np.ndarray:
    """Zero is always represented exactly: a ReLU's mass there says nothing about the range, yet would drown the
    rest."""
    at = min(int((0.0 - low) / (high - low) * counts.size), counts.size - 1)
    counts = counts.copy()
    counts[at] = max(counts[at] - zeros, 0.0)
    return counts


def _divergence(counts: np.ndarray, start: int, stop: int, levels: int) -> float:
    """KL(P || Q) in nats: P the distribution with what is clipped piled up at the ends, Q its version in `levels`
    steps."""
    inside = counts[start:stop]
    p = inside.copy()
    p[0] += counts[:start].sum()
    p[-1] += counts[stop:].sum()
    level = np.arange(inside.size) * levels // inside.size
    held = p > 0
    mass = np.bincount(level, inside, levels)
    width = np.bincount(level, held, levels)
    q = np.where(held, mass[level] / np.maximum(width[level], 1), 0.0)
    total_p, total_q = p.sum(), q.sum()
    if total_p == 0 or total_q == 0:
        return np.inf
    p, q = p / total_p, q / total_q
    q = np.maximum(q, _SMALLEST_PROBABILITY)
    some = p > 0
    return float(np.sum(p[some] * np.log(p[some] / q[some])))


def _mse(statistics: Statistics, scheme: str) -> tuple[float, float]:
    low, high = statistics.range
    error = _Error(statistics, scheme)
    if scheme == "symmetric":
        limit = max(-low, high) * _best(lambda k: error(-max(-low, high) * k, max(-low, high) * k))
        return -limit, limit
    low, high = min(low, 0.0), max(high, 0.0)
    a = b = 1.0
    for _ in range(2):  # Coordinate descent is enough here, as the two ends are nearly independent.
        b = _best(lambda k: error(low * a, high * k)) if high > 0 else b
        a = _best(lambda k: error(low * k, high * b)) if low < 0 else a
    return low * a, high * b


def _best(error: Callable[[float], float]) -> float:
    """The factor of _SHRINKS with the smallest error: every seventh is tried, then the ones around the best of them."""
    tried = {int(i): error(_SHRINKS[i]) for i in range(0, len(_SHRINKS), _STRIDE)}
    centre = min(tried, key=tried.__getitem__)
    for i in range(max(0, centre - _STRIDE + 1), min(len(_SHRINKS), centre + _STRIDE)):
        if i not in tried:
            tried[i] = error(_SHRINKS[i])
    return float(_SHRINKS[min(tried, key=tried.__getitem__)])


class _Error:
    """Squared error of representing the histogram, its values in the middle of their bins, in a range. Sums of 1, x and
    x^2 up to every bin are made once; a range then costs one search for the borders of its 256 levels."""

    def __init__(self, statistics: Statistics, scheme: str) -> None:
        below, above, count = statistics.masses()
        self._x, weight = (below + above) / 2, count.astype(np.float64)
        self._sums = np.stack(
            [np.concatenate([[0.0], np.cumsum(weight * power)]) for power in (1.0, self._x, self._x**2)]
        )
        self._scheme = scheme

    def __call__(self, low: float, high: float) -> float:
        qparams = choose(low, high, self._scheme)
        smallest, largest = LIMITS[self._scheme]
        levels = (np.arange(smallest, largest + 1) - qparams.zero_point) * float(qparams.scale)
        ends = np.searchsorted(self._x, levels[:-1] + qparams.scale / 2)
        one, x, square = np.diff(self._sums[:, np.concatenate([[0], ends, [self._x.size]])])
        return float(np.sum(square - 2 * levels * x + levels**2 * one))
