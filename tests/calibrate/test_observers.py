"""The four calibrators on distributions whose right answer is known."""

import numpy as np
import pytest

from octet.passes.annotate import Recipe
from octet.passes.calibrate.observers import _Error, find_range
from octet.passes.calibrate.qparams import LIMITS, choose, codes_of
from octet.passes.calibrate.statistics import Statistics

from .conftest import dequantize


def statistics_of(x):
    statistics = Statistics()
    statistics.update(x.astype(np.float32))
    return statistics


def find(x, calibrator, scheme="affine", **options):
    return find_range(statistics_of(x), Recipe(calibrator=calibrator, **options), scheme)


def error(x, bounds, scheme="affine"):
    p = choose(*bounds, scheme)
    return float(np.mean((dequantize(codes_of(x, p), p) - x) ** 2))


RNG = np.random.default_rng(0)
NORMAL = RNG.standard_normal(50_000)
OUTLIERS = np.concatenate([NORMAL, [60.0, -45.0]])
RELU = np.maximum(NORMAL, 0)


def test_max_keeps_everything():
    assert find(OUTLIERS, "max") == (-45.0, 60.0)


@pytest.mark.parametrize("percentile", [99.0, 99.9, 99.99])
def test_percentile(percentile):
    low, high = find(NORMAL, "percentile", percentile=percentile)
    cut = (100 - percentile) / 2
    assert (low, high) == pytest.approx(np.percentile(NORMAL, [cut, 100 - cut]), rel=0.04)
    assert find(RELU, "percentile", percentile=percentile) == pytest.approx(
        (0, np.percentile(RELU, percentile)), rel=0.04
    )
    limit = np.percentile(np.abs(NORMAL), percentile)
    assert find(NORMAL, "percentile", "symmetric", percentile=percentile) == pytest.approx((-limit, limit), rel=0.04)


@pytest.mark.parametrize("calibrator", ["entropy", "percentile"])
@pytest.mark.parametrize("scheme", ["affine", "symmetric"])
def test_outliers_are_clipped_and_the_body_kept(calibrator, scheme):
    low, high = find(OUTLIERS, calibrator, scheme)
    assert 2.5 < high < 30 and -30 < low < -2.5


@pytest.mark.parametrize("scheme", ["affine", "symmetric"])
def test_mse_is_never_worse_than_max(scheme):
    for x in (NORMAL, OUTLIERS, RELU, RNG.laplace(size=20_000), RNG.uniform(-1, 3, 20_000)):
        assert error(x, find(x, "mse", scheme), scheme) <= error(x, find(x, "max", scheme), scheme) * 1.02


def test_entropy_keeps_a_uniform_distribution_whole():
    low, high = find(RNG.uniform(0, 1, 100_000), "entropy")
    assert low == pytest.approx(0, abs=1e-3) and high > 0.95


def test_entropy_searches_with_many_more_bins_than_levels():
    """With as many bins as levels only the maximum can come out; a long tail must be cut."""
    x = np.concatenate([RELU, RNG.uniform(5, 100, 20)])
    assert find(x, "entropy")[1] < 30


@pytest.mark.parametrize("calibrator", ["max", "percentile", "entropy", "mse"])
@pytest.mark.parametrize("x", [np.zeros(10), np.full(10, 3.0), np.full(10, -2.0), np.array([1e-30]), np.zeros(0)])
def test_constant_and_empty_tensors(calibrator, x):
    for scheme in ("affine", "symmetric"):
        p = choose(*find(x, calibrator, scheme), scheme)
        assert np.isfinite(p.scale) and p.scale > 0
        if x.size:
            assert np.all(np.abs(dequantize(codes_of(x, p), p) - x) <= max(abs(float(x[0])) / 100, 1e-12))


@pytest.mark.parametrize("scheme", ["affine", "symmetric"])
def test_the_error_of_a_range_is_that_of_rounding_every_bin(scheme):
    statistics = Statistics()
    statistics.update(np.random.default_rng(3).standard_normal(5000).astype(np.float32) ** 3)
    below, above, count = statistics.masses()
    x = (below + above) / 2
    for low, high in ((-2.0, 3.0), (-0.5, 0.5), (-30.0, 30.0), (0.0, 1.0)):
        qparams, (smallest, largest) = choose(low, high, scheme), LIMITS[scheme]
        q = np.clip(np.rint(x / qparams.scale) + qparams.zero_point, smallest, largest)
        wanted = np.dot(count, ((q - qparams.zero_point) * qparams.scale - x) ** 2)
        assert _Error(statistics, scheme)(low, high) == pytest.approx(wanted, rel=1e-9)
