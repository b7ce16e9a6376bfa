"""Detections in the forms that exporters write, and their mean average precision, worked by hand and beside
torchvision's suppression."""

import numpy as np
import pytest

from octet.targets.errors import DataError
from octet.tools.scoring.boxes import detections, overlaps, suppress
from octet.tools.scoring.precision import check_boxes, mean_average_precision, truth_of

CORNERS = np.array(
    [[0, 0, 10, 10], [1, 0, 11, 10], [20, 20, 40, 30], [60, 60, 70, 80]], np.float32
)  # The first two overlap by 9 / 11.
SCORES = np.array([[0.9, 0.01], [0.8, 0.02], [0.05, 0.7], [0.0, 0.6]], np.float32)
TRUTH = {"boxes": np.array([[[0, 0, 10, 10], [20, 20, 40, 30]]], np.float32), "classes": np.array([[0, 1]])}


def centred(corners):
    return np.concatenate([(corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]], axis=1)


def padded(rows, count=40):
    """Candidates without any score behind them, as real heads have."""
    return np.concatenate([rows, np.zeros((count - len(rows), rows.shape[1]), np.float32)])[None]


def forms():
    plain = np.concatenate([centred(CORNERS), SCORES], axis=1)
    half = np.full((4, 1), 0.5, np.float32)
    background = np.concatenate([1 - SCORES.sum(1, keepdims=True), SCORES], axis=1)
    yield "YOLOv8", {"y": np.moveaxis(padded(plain), 1, 2)}, 1.0
    yield "YOLOv5", {"y": padded(np.concatenate([centred(CORNERS), half, SCORES], axis=1))}, 0.5
    yield "SSD", {"scores": padded(SCORES), "boxes": padded(CORNERS)}, 1.0
    yield "SSD with background", {"boxes": CORNERS[None], "scores": background[None]}, 1.0


@pytest.mark.parametrize(
    ("name", "outputs", "factor"), list(forms()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_form_holds_the_same_detections(name, outputs, factor):
    (found,) = detections(outputs)
    sure = found.scores > 0.1
    assert np.allclose(found.scores[sure], np.array([0.9, 0.7, 0.6]) * factor) and found.classes[sure].tolist() == [
        0,
        1,
        1,
    ]
    assert np.allclose(found.boxes[sure], CORNERS[[0, 2, 3]], atol=1e-4)
    assert mean_average_precision(outputs, TRUTH) == pytest.approx(1.0), "what is wrong is less sure than what is right"


def test_what_the_network_suppressed_is_taken_as_it_is():
    end = np.concatenate([CORNERS, SCORES.max(1, keepdims=True), SCORES.argmax(1)[:, None]], axis=1).astype(np.float32)[
        None
    ]
    three = {
        "detection_boxes": CORNERS[None][..., [1, 0, 3, 2]],
        "detection_scores": SCORES.max(1)[None],
        "detection_classes": SCORES.argmax(1)[None].astype(np.float32),
    }
    for outputs in ({"y": np.concatenate([end, np.zeros_like(end)], axis=1)}, three):
        (found,) = detections(outputs)
        assert (
            np.allclose(found.scores, [0.9, 0.8, 0.7, 0.6])
            and np.allclose(found.boxes, CORNERS)
            and found.classes.tolist() == [0, 0, 1, 1]
        )


def test_average_precision_by_hand():
    """Class 0 has two true boxes: hit, miss, hit by falling score. Precision 1 up to recall 0.5 (51 of 101 points), 2 /
    3 up to 1 (50)."""
    found = np.array([[[0, 0, 10, 10, 0.9, 0], [50, 50, 60, 60, 0.8, 0], [20, 20, 30, 30, 0.7, 0]]], np.float32)
    truth = {"boxes": np.array([[[0, 0, 10, 10], [20, 20, 30, 30]]], np.float32), "classes": np.array([[0, 0]])}
    outputs = {"y": np.concatenate([found, np.zeros((1, 9, 6), np.float32)], axis=1)}
    assert mean_average_precision(outputs, truth) == pytest.approx((51 + 50 * 2 / 3) / 101)
    # Both overlap by 10 / 14, which is right up to 0.7.
    moved = dict(truth, boxes=truth["boxes"] + np.float32([0, 0, 0, 4]))
    assert mean_average_precision(outputs, moved) == pytest.approx((51 + 50 * 2 / 3) / 101 / 2)
    assert mean_average_precision(outputs, moved, (0.5,)) == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_a_box_is_found_once():
    found = np.array([[[0, 0, 10, 10, 0.9, 0], [0, 0, 10, 10, 0.8, 0]]], np.float32)
    truth = {"boxes": np.array([[[0, 0, 10, 10], [20, 20, 30, 30]]], np.float32), "classes": np.array([[0, 0]])}
    assert mean_average_precision(
        {"y": np.concatenate([found, np.zeros((1, 9, 6), np.float32)], axis=1)}, truth
    ) == pytest.approx(51 / 101)


def test_a_class_that_nobody_finds_counts_and_padding_does_not():
    truth = {"boxes": np.zeros((1, 3, 4), np.float32), "classes": np.array([[0, 5, -1]])}
    truth["boxes"][0, 0], truth["boxes"][0, 1] = CORNERS[0], CORNERS[3]
    assert mean_average_precision({"boxes": padded(CORNERS), "scores": padded(SCORES)}, truth) == pytest.approx(0.5)


def test_fp32_agrees_with_what_it_is_sure_of():
    outputs = {"boxes": padded(CORNERS), "scores": padded(SCORES)}
    truth = truth_of(outputs)
    assert truth["classes"].tolist() == [[0, 1, 1]] and mean_average_precision(outputs, truth) == pytest.approx(1.0)


def test_what_is_nan_is_no_detection():
    scores, boxes = SCORES.copy(), CORNERS.copy()
    scores[0], boxes[2] = np.nan, np.nan
    (found,) = detections({"boxes": padded(boxes), "scores": padded(scores)})
    assert np.allclose(found.boxes[found.scores > 0.1], CORNERS[[1, 3]])


def test_suppression_as_torchvision_does_it():
    ops, torch = pytest.importorskip("torchvision.ops"), pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 30, (80, 2))
    boxes = np.concatenate([low, low + rng.uniform(1, 20, (80, 2))], axis=1)
    kept = suppress(boxes, np.zeros(80, np.int64), 0.4)
    assert kept.tolist() == ops.nms(torch.tensor(boxes), torch.linspace(1, 0.1, 80, dtype=torch.float64), 0.4).tolist()
    assert np.allclose(overlaps(boxes, boxes), ops.box_iou(torch.tensor(boxes), torch.tensor(boxes)).numpy())


def test_overlaps_by_hand():
    assert overlaps(CORNERS[:1].astype(float), CORNERS[:3].astype(float)).tolist() == [
        [1.0, pytest.approx(9 / 11), 0.0]
    ]
    assert overlaps(np.zeros((1, 4)), np.zeros((1, 4))).tolist() == [[0.0]]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({}, "holds no array 'boxes'"),
        ({"boxes": np.zeros((1, 2, 4))}, "holds no array 'classes'"),
        ({"boxes": np.zeros((1, 2, 3)), "classes": np.zeros((1, 2), int)}, "'boxes' is float64"),
        ({"boxes": np.zeros((1, 2, 4)), "classes": np.zeros((1, 3), int)}, "2 and 3 boxes"),
    ],
)
def test_data_that_do_not_fit(data, said):
    with pytest.raises(DataError, match=said):
        check_boxes(data, 1, "val.npz")
    check_boxes(TRUTH, 1, "val.npz")


@pytest.mark.parametrize("outputs", [{"y": np.zeros((1, 10), np.float32)}, {"boxes": np.zeros((1, 8, 4), np.float32)}])
def test_outputs_that_are_no_detections(outputs):
    with pytest.raises(DataError, match="--metric map"):
        detections(outputs)
