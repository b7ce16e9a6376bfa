"""IoU of masks, against counting by hand."""

import numpy as np
import pytest

from octet.tools.scoring.masks import iou, masks_of, unfit
from octet.tools.scoring.places import IGNORED

FOREGROUND = np.array([[[1, 1, 0], [0, 0, 0]]])
FOUND = np.array([[[0.9, 0.4, 0.6], [0.1, 0.2, 0.3]]], np.float32)


@pytest.mark.parametrize("shape", [(1, 2, 3), (1, 1, 2, 3)])
def test_a_foreground(shape):
    """Two pixels are found, two are true, one is both: 1 of 3."""
    assert iou(FOUND.reshape(shape), FOREGROUND) == pytest.approx(1 / 3)
    assert iou(FOUND.reshape(shape), FOREGROUND, threshold=0.35) == pytest.approx(2 / 3)
    assert iou(FOUND.reshape(shape), np.where(FOUND > 0.55, FOREGROUND, IGNORED)) == 0.5


def test_classes_are_averaged_where_they_occur():
    """Class 0: 2 of 3 pixels, class 1: 1 of 2, class 2 occurs nowhere."""
    masks = np.array([[[0, 0], [1, IGNORED]], [[0, 1], [IGNORED, IGNORED]]])
    answered = np.array([[[0, 0], [1, 2]], [[1, 1], [0, 0]]])
    scores = np.moveaxis(np.eye(3, dtype=np.float32)[answered], -1, 1)
    assert iou(scores, masks) == pytest.approx((2 / 3 + 2 / 3) / 2)
    assert iou(answered, masks) == iou(scores, masks) and iou(np.moveaxis(scores, 1, -1), masks) == iou(scores, masks)


def test_what_is_nan_is_wrong():
    bad = FOUND.copy()
    bad[0, 0, 0] = np.nan
    assert iou(bad, FOREGROUND) == 0.0
    assert iou(np.full((1, 3, 2, 2), np.nan, np.float32), np.zeros((1, 2, 2), np.int64)) == 0.0


def test_nothing_to_find_and_nothing_found_is_right():
    assert iou(np.zeros((1, 2, 2), np.float32), np.zeros((1, 2, 2), np.int64)) == 1.0


@pytest.mark.parametrize("output", [FOUND, np.random.default_rng(0).standard_normal((2, 3, 4, 4)).astype(np.float32)])
def test_fp32_agrees_with_its_own_masks(output):
    assert iou(output, masks_of(output)) == 1.0


def test_masks_that_do_not_fit():
    assert unfit((2, 3, 4, 4), np.zeros((2, 4, 4), np.int64)) is None is unfit((2, 1, 4, 4), np.zeros((2, 4, 4), bool))
    assert "per pixel" in unfit((2, 3, 4, 4), np.zeros((2, 4, 4))) and "per pixel" in unfit(
        (2, 3, 4, 4), np.zeros((2, 5, 4), np.int64)
    )
