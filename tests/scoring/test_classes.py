"""Decisions among classes, by hand."""

import numpy as np
import pytest

from octet.tools.scoring.classes import f1, top

SCORES = np.array([[3, 2, 1, 0], [0, 3, 2, 1], [0, 1, 3, 2], [3, 2, 1, 0]], np.float32)


def test_the_label_is_among_the_largest():
    labels = np.array([0, 2, 3, 3])
    assert [top(k)(SCORES, labels) for k in (1, 2, 3, 4, 9)] == [0.25, 0.75, 0.75, 1.0, 1.0]


def test_indices_are_compared_as_they_are():
    assert top(5)(np.array([[1], [2], [0]]), np.array([1, 2, 2])) == pytest.approx(2 / 3)


def test_a_label_per_place_and_places_that_do_not_count():
    places = np.stack([SCORES[:2], SCORES[2:]])
    assert top(1)(places, np.array([[0, 1], [2, 3]])) == 0.75
    assert top(1)(places, np.array([[0, 1], [2, -100]])) == 1.0


def test_equal_scores_are_taken_in_order():
    assert top(1)(np.zeros((2, 3), np.float32), np.array([0, 1])) == 0.5


def test_a_score_that_is_no_number_decides_nothing():
    broken = SCORES.copy()
    broken[0, 3] = np.nan
    assert top(1)(broken, np.array([0, 1, 2, 0])) == 0.75
    assert f1(broken, np.array([0, 1, 2, 0])) == pytest.approx((2 / 3 + 1 + 1 + 0) / 4), "and is a class of its own"


def test_f1_is_the_mean_over_the_classes_that_occur():
    """Class 0: 1 hit, 2 answers, 1 label; 1: 1, 1, 2; 2: 1, 1, 1."""
    assert f1(SCORES, np.array([0, 1, 2, 1])) == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)
    assert f1(np.array([[0.2], [0.9], [2.1], [0.4]], np.float32), np.array([0, 1, 2, 1])) == pytest.approx(7 / 9)
