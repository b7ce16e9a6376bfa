"""Retrieval and correlations, by hand and, where it is installed, beside SciPy."""

import numpy as np
import pytest

from octet.tools.scoring.vectors import nearest, no_groups, not_as_many, pearson, retrieval, spearman

ANGLES = np.radians([0, 10, 90, 100, 46])
UNIT = np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1).astype(np.float32)


def test_the_nearest_by_cosine_whatever_the_length():
    vectors = UNIT * np.array([[1], [100], [0.01], [1], [3]], np.float32)
    assert nearest(vectors, 2).tolist() == [[1, 4], [0, 4], [3, 4], [2, 4], [1, 2]]


def test_groups_are_found_again():
    """Sample 4 is alone in its group, 0 and 1 find each other, 2 and 3 are of different groups."""
    groups = np.array([0, 0, 1, 0, 2])
    assert retrieval(UNIT, groups) == pytest.approx(2 / 3)
    assert retrieval(UNIT, groups, k=4) == 1.0 and retrieval(UNIT, np.array([0, 0, 1, 1, 2])) == 1.0


def test_the_neighbours_of_fp32():
    assert retrieval(UNIT, UNIT, k=2) == 1.0
    turned = UNIT[[0, 1, 2, 3, 4]].copy()
    turned[4] = UNIT[0] + np.float32(0.01)  # It is near to the first now.
    assert retrieval(turned, UNIT) == pytest.approx(2 / 5), (
        "0 and 1 had each other, now 4 is nearer to both, and 4 itself is nearest to 0"
    )
    broken = UNIT.copy()
    broken[1] = np.nan
    assert retrieval(broken, UNIT) < 1.0 and (nearest(broken, 2)[1] == -1).all() and 1 not in nearest(broken, 3)


def test_pearson_and_spearman_by_hand():
    a, b = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 3.0, 2.0, 10.0])
    assert pearson(a, b) == pytest.approx(13 / np.sqrt(5 * 50)) and spearman(a, b) == pytest.approx(0.8)
    assert spearman(a, a**3) == pytest.approx(1.0) and pearson(a, -a) == -1.0
    assert spearman(np.array([1.0, 1.0, 2.0]), np.array([1.0, 2.0, 3.0])) == pytest.approx(np.sqrt(3) / 2), (
        "equal numbers have the mean of their ranks"
    )


def test_correlations_as_scipy_has_them():
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(0)
    a = rng.integers(0, 9, 60).astype(np.float32)
    b = (a + rng.standard_normal(60)).astype(np.float32)
    assert pearson(a[:, None], b) == pytest.approx(stats.pearsonr(a, b)[0]) and spearman(
        a[:, None], b
    ) == pytest.approx(stats.spearmanr(a, b)[0])


@pytest.mark.parametrize("metric", [pearson, spearman])
def test_what_is_constant_or_not_finite(metric):
    numbers = np.arange(4.0)
    assert metric(np.ones(4), numbers) == 0.0 and metric(np.array([0, 1, np.nan, 3]), numbers) == -1.0


def test_references_that_do_not_fit():
    assert not_as_many((4, 1), np.zeros(4)) is None and "as many numbers" in not_as_many((4, 2), np.zeros(4))
    assert no_groups((4, 2), np.zeros(4, np.int64)) is None is no_groups(
        (4, 2), np.zeros((4, 2))
    ) and "one group per sample" in no_groups((4, 2), np.zeros(4))
