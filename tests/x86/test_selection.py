"""Choices whose number is known at run time only, against the referee: the same places in the same order."""

import sys
from pathlib import Path

import numpy as np
import pytest
from tvm import relax

from octet.passes import ops
from octet.passes.referee.reference import run

sys.path.insert(0, str(Path(__file__).parent))
from rule_harness import check, compiled, network

RANDOM = np.random.default_rng(3)


def _suppressed(boxes, scores, **attrs):
    module = network(
        {"boxes": boxes.shape, "scores": scores.shape},
        lambda b, *operands: ops.call("octet.non_max_suppression", list(operands), **attrs),
    )
    feed = {"boxes": boxes, "scores": scores}
    (got,), without = compiled(module, feed)
    (wanted,) = run(module, feed)
    assert not without
    np.testing.assert_array_equal(got, wanted)
    return got


def _boxes(images, count, centers):
    corner, size = RANDOM.random((images, count, 2)), RANDOM.random((images, count, 2)) / 2
    boxes = np.concatenate([corner, size if centers else corner + size], -1).astype("float32")
    if not centers:  # The corners may come in any order.
        boxes[:, ::2] = boxes[:, ::2, [2, 1, 0, 3]]
    return boxes


@pytest.mark.parametrize("centers", [0, 1])
@pytest.mark.parametrize("most", [1, 7, 60])
@pytest.mark.parametrize("threshold", [{}, {"threshold": 0.4}])
def test_non_max_suppression(most, threshold, centers):
    scores = RANDOM.random((2, 3, 60)).astype("float32")
    got = _suppressed(_boxes(2, 60, centers), scores, most=most, overlap=0.3, centers=centers, **threshold)
    kept = got[:, 0] >= 0
    assert 0 < kept.sum() and (most < 60 or kept.sum() < len(got))  # Some overlap.
    assert not kept[kept.sum() :].any()


def test_equal_scores_go_by_their_place_and_no_number_is_none():
    scores = RANDOM.integers(0, 3, (1, 1, 40)).astype("float32")
    scores[0, 0, ::7] = np.nan
    got = _suppressed(_boxes(1, 40, 0), scores, most=40, overlap=1.0, centers=0)
    places = got[got[:, 0] >= 0, 2]
    assert len(places) == np.isfinite(scores).sum()
    values = scores[0, 0, places]
    assert all((a, -i) > (b, -j) for (a, i), (b, j) in zip(zip(values, places), zip(values[1:], places[1:])))


def test_none_is_above_the_threshold():
    scores = RANDOM.random((1, 2, 9)).astype("float32")
    assert (_suppressed(_boxes(1, 9, 0), scores, most=4, overlap=0.5, threshold=2.0, centers=0) == -1).all()


def test_boxes_without_an_area_overlap_with_none():
    boxes = np.zeros((1, 5, 4), "float32")
    assert (
        _suppressed(boxes, np.ones((1, 1, 5), "float32"), most=5, overlap=0.0, centers=0)[:, 2] == np.arange(5)
    ).all()


@pytest.mark.parametrize("shape", [(17,), (3, 5), (2, 1, 4, 3)])
def test_nonzero(shape):
    large = relax.const(0.5, "float32")
    check(
        {"x": shape},
        lambda b, x: ops.call("octet.nonzero", [b.emit(relax.op.greater(x, large))]),
        fallbacks=["relax.greater"],
    )


@pytest.mark.parametrize("index", ["int32", "int64"])
@pytest.mark.parametrize("width", [1, 5, 64, 150])
def test_rows_are_added_in_order_and_none_outside(width, index):
    """Sums of numbers of many magnitudes tell the order; 3 columns of tasks, the last of them not whole."""
    rows, count = 7, 40
    module = network(
        {"x": (rows, width), "updates": (count, width), "places": (count,)},
        lambda b, x, updates, places: ops.call(
            "octet.scatter_add", [x, updates, b.emit(relax.op.astype(places, index))]
        ),
    )
    feed = {
        "x": RANDOM.standard_normal((rows, width)).astype("float32"),
        "updates": (10.0 ** RANDOM.uniform(-6, 6, (count, width))).astype("float32"),
        "places": RANDOM.integers(-3, rows + 3, count).astype("float32"),
    }
    (got,), without = compiled(module, feed)
    assert list(without) == ["relax.astype"]
    wanted = feed["x"].copy()
    for place, update in zip(feed["places"].astype(int), feed["updates"], strict=True):
        if 0 <= place < rows:
            wanted[place] += update
    np.testing.assert_array_equal(got, wanted)
    np.testing.assert_array_equal(got, run(module, feed)[0])
