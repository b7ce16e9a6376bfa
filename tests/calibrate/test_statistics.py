"""Statistics: exact, mergeable in any order, and what the bins promise."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from octet.passes.calibrate.statistics import BINS, OCTAVES, Statistics

values = st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), max_size=40).map(
    lambda v: np.array(v, np.float32)
)


def statistics_of(*arrays):
    statistics = Statistics()
    for array in arrays:
        statistics.update(array)
    return statistics


def equal(a, b):
    return (a.count, a.zeros, a.nonfinite, a.range, a.top) == (
        b.count,
        b.zeros,
        b.nonfinite,
        b.range,
        b.top,
    ) and np.array_equal(a.histogram, b.histogram)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.lists(values, min_size=1, max_size=4))
def test_shards_merge_exactly_in_any_order(arrays):
    whole = statistics_of(np.concatenate(arrays))
    for order in (arrays, arrays[::-1]):
        merged = Statistics()
        for array in order:
            merged.merge(statistics_of(array))
        assert equal(merged, whole)
    assert equal(statistics_of(*arrays), whole)
    assert whole.histogram.sum() == whole.count


def test_range_count_zeros_and_nonfinite_values():
    s = statistics_of(np.array([0.0, -0.0, 1.5, -3.0, np.nan, np.inf, -np.inf], np.float32))
    assert (s.count, s.zeros, s.nonfinite, s.range) == (7, 2, 3, (-3.0, 1.5))


def test_nothing_seen():
    assert Statistics().range == (0.0, 0.0)
    assert Statistics().quantile(0.5) == 0.0
    assert statistics_of(np.zeros(5, np.float32)).range == (0.0, 0.0)


def test_memory_is_constant():
    s = Statistics()
    for scale in (1e-30, 1.0, 1e30):
        s.update(np.full(100, scale, np.float32))
        assert s.histogram.shape == (2, BINS)


@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1.0, 1e30])
def test_bins_are_narrow_and_hold_their_values(scale):
    x = (np.random.default_rng(0).standard_normal(5000) * scale).astype(np.float32)
    s = statistics_of(x)
    low, high, count = s.masses()
    assert count.sum() == x.size and np.all(low[1:] >= high[:-1]) and low[0] == s.range[0] and high[-1] == s.range[1]
    inside = np.maximum(np.abs(low), np.abs(high)) > np.abs(x).max() / 2 ** (OCTAVES - 2)
    assert np.all((high - low)[inside] <= np.maximum(np.abs(low), np.abs(high))[inside] / 256)
    for a, b, n in zip(low[::50], high[::50], count[::50]):
        assert np.count_nonzero((x >= a) & (x <= b)) >= n


def test_quantiles():
    x = np.random.default_rng(0).standard_normal(100_000).astype(np.float32)
    s = statistics_of(x)
    for fraction in (0.001, 0.25, 0.5, 0.9, 0.9999):
        assert s.quantile(fraction) == pytest.approx(np.quantile(x, fraction), abs=0.01)
    assert s.quantile(0.99, of_magnitude=True) == pytest.approx(np.quantile(np.abs(x), 0.99), abs=0.01)
    assert (s.quantile(0), s.quantile(1)) == s.range


def test_linear_histogram_keeps_the_mass():
    x = np.random.default_rng(0).exponential(size=20_000).astype(np.float32)
    s = statistics_of(x)
    counts = s.linear(*s.range, 64)
    assert counts.sum() == pytest.approx(x.size)
    assert np.abs(counts - np.histogram(x, 64, s.range)[0]).max() < 60
