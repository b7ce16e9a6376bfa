"""Metrics by their names: values, directions, and data that do not fit them."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra.numpy import arrays

from octet.targets.errors import DataError, OctetError
from octet.targets.variant import TensorSpec
from octet.tools.metrics import METRICS, find_metric
from octet.tools.scores import Scoring, scoring_of
from octet.tools.scoring.places import IGNORED


def network(shape):
    """All that the check of labels asks of a model: one output of that shape, batch 1."""
    return SimpleNamespace(inputs=(TensorSpec("x", (1, 4), "float32"),), outputs=(TensorSpec("y", shape, "float32"),))


def check_labels(metric, labels, count, model, where):
    return scoring_of(metric, {} if labels is None else {"labels": labels}, model, count, where, fp32=False)


SCORES = np.array([[0.1, 0.7, 0.2], [0.9, 0.0, 0.1], [0.3, 0.3, 0.4], [0.2, 0.5, 0.3]], np.float32)


def test_top1():
    assert METRICS["top1"].score(SCORES, np.array([1, 0, 0, 2])) == 0.5


def test_top5_of_fewer_classes_is_one():
    assert METRICS["top5"].score(SCORES, np.array([2, 2, 1, 0])) == 1.0


def test_top5():
    scores = np.tile(np.arange(10.0), (2, 1))
    assert METRICS["top5"].score(scores, np.array([5, 4])) == 0.5


def test_labels_as_a_column_and_class_indices_as_output():
    assert METRICS["top1"].score(SCORES[:, :, None, None], np.array([[1], [0], [2], [1]])) == 1.0
    assert METRICS["top1"].score(np.array([3, 1]), np.array([3, 2])) == 0.5


@pytest.mark.parametrize("shape, axis", [((4, 6, 3), 2), ((4, 3, 6), 1), ((4, 3, 5, 6), 1), ((4, 5, 6, 3), 3)])
def test_a_label_per_token_or_pixel(shape, axis):
    """Whichever axis the classes are on; what is labelled -100 does not count."""
    rng = np.random.default_rng(0)
    scores = rng.standard_normal(shape).astype(np.float32)
    labels = scores.argmax(axis)
    labels[0] = IGNORED
    labels.reshape(-1)[-1] = (labels.reshape(-1)[-1] + 1) % 3
    counted = labels.size - labels[0].size

    model = network((1, *shape[1:]))
    check_labels(find_metric("top1"), labels, 4, model, "val.npz")
    assert METRICS["top1"].score(scores, labels) == pytest.approx(1 - 1 / counted)
    assert METRICS["top5"].score(scores, labels) == 1.0 and METRICS["f1"].score(scores, labels) < 1.0
    with pytest.raises(DataError, match="labels go from"):
        check_labels(find_metric("top1"), np.where(labels == 2, 7, labels), 4, model, "val.npz")
    with pytest.raises(DataError, match="is ignored"):
        check_labels(find_metric("top1"), np.full_like(labels, IGNORED), 4, model, "val.npz")


def test_class_indices_per_place():
    found = np.array([[1, 2, 3], [4, 5, 6]])
    assert METRICS["top1"].score(found, np.array([[1, 2, 0], [4, IGNORED, 6]])) == 0.8


@settings(max_examples=30, derandomize=True, deadline=None)
@given(arrays(np.float32, (3, 4), elements=st.floats(-100, 100, width=32)))
def test_mse_and_cosine_of_itself(x):
    assert METRICS["mse"].score(x, x) == 0.0
    assert METRICS["cosine"].score(x, x) == pytest.approx(1.0, abs=1e-6)


def test_mse_and_cosine():
    a, b = np.array([[1.0, 0.0], [0.0, 0.0]]), np.array([[0.0, 2.0], [1.0, 0.0]])
    assert METRICS["mse"].score(a, b) == (1 + 4 + 1 + 0) / 4
    assert METRICS["cosine"].score(a, b) == 0.0


def test_drop_is_relative_to_fp32_and_knows_the_direction():
    assert METRICS["top1"].drop(0.8, 0.76) == pytest.approx(0.05)
    assert METRICS["top1"].drop(0.8, 0.84) == pytest.approx(-0.05)
    assert METRICS["mse"].drop(0.5, 0.6) == pytest.approx(0.2)
    assert METRICS["mse"].drop(0.0, 0.25) == 0.25


@pytest.mark.parametrize(
    ("metric", "labels", "said"),
    [
        ("top1", np.array([0, 1, 2]), "needs 4 integers"),
        ("top1", np.zeros(4), "needs 4 integers"),
        ("top1", np.array([0, 1, 2, 3]), "the model has 3 classes"),
        ("top1", np.array([0, 1, 2, -1]), "labels go from -1"),
        ("mse", np.zeros((4, 2)), "needs the output's shape [4, 3]"),
        ("top1", None, "holds no labels"),
    ],
)
def test_labels_that_do_not_fit(metric, labels, said):
    with pytest.raises(DataError) as error:
        check_labels(find_metric(metric), labels, 4, network((1, 3)), "val.npz")
    assert said in str(error.value) and "val.npz" in str(error.value)


def test_unknown_metric():
    with pytest.raises(OctetError, match="top1, top5, f1, sqnr, mse, cosine"):
        find_metric("f7")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_an_output_that_is_not_finite_is_the_worst(bad):
    """Also where only one of many values is."""
    exact = np.arange(1.0, 9.0, dtype=np.float32).reshape(2, 4)
    output = exact.copy()
    output[0, 1] = bad
    assert METRICS["sqnr"].score(output, exact) == -200.0
    assert METRICS["mse"].score(output, exact) == np.inf
    assert METRICS["cosine"].score(output, exact) == 0.0  # One sample of two is at -1.
    for name in ("sqnr", "mse"):
        metric = METRICS[name]
        assert metric.drop(metric.score(exact, exact), metric.score(output, exact)) > 1.0


def test_where_the_reference_is_not_finite_nothing_is_compared():
    exact = np.array([[1.0, -np.inf, 2.0]], np.float32)
    for output in (exact, np.array([[1.0, -1e30, 2.0]], np.float32), np.array([[1.0, np.nan, 2.0]], np.float32)):
        assert METRICS["sqnr"].score(output, exact) == 200.0 and METRICS["mse"].score(output, exact) == 0.0
        assert METRICS["cosine"].score(output, exact) == pytest.approx(1.0)


def test_a_decision_with_a_nan_is_wrong():
    scores = np.array([[0.1, 0.9], [np.nan, np.nan], [0.9, np.nan]])
    assert METRICS["top1"].score(scores, np.array([1, 0, 0])) == pytest.approx(1 / 3)
    assert METRICS["top5"].score(scores, np.array([1, 0, 0])) == pytest.approx(1 / 3)
    assert METRICS["f1"].score(scores, np.array([1, 0, 0])) < 1.0
    assert METRICS["f1"].score(np.array([[1.0], [np.nan]]), np.array([1, 0])) < 1.0


def test_a_score_that_is_nan_misses_every_target():
    assert METRICS["top1"].drop(0.9, float("nan")) == float("inf")
    assert METRICS["mse"].drop(0.1, float("inf")) == float("inf")
    with pytest.raises(OctetError, match="fp32 itself scores nan"):
        METRICS["top1"].drop(float("nan"), 0.9)


def test_losses_take_a_nan_for_wrong():
    scoring = Scoring(METRICS["top1"], {"y": np.array([1, 0])}, count=2)
    assert scoring.losses({"y": np.array([[0.1, 0.9], [np.nan, 0.0]])}).tolist() == [0, 1]


def test_a_drop_of_sqnr_is_what_the_relative_error_grows_by():
    sqnr = METRICS["sqnr"]
    assert sqnr.drop(200.0, 40.0) == pytest.approx(0.01) and sqnr.drop(20.0, 20.0) == 0.0
    assert sqnr.drop(20.0, 14.0) > 0 > sqnr.drop(20.0, 26.0) and sqnr.drop(200.0, float("nan")) == float("inf")
