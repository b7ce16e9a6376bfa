"""Metrics of one's own, intervals, and the commands study and calibrate."""

import json
from importlib.util import find_spec

import numpy as np
import pytest

from octet.targets.errors import OctetError
from octet.tools.building.experiments import interval_of_losses
from octet.tools.building.judge import MetricJudge
from octet.tools.commands.calibrate import parse_shard
from octet.tools.metrics import METRICS, find_metric
from octet.tools.scores import Scoring


def test_f1_and_sqnr():
    labels, output = np.array([0, 0, 1, 1]), np.eye(2)[[0, 1, 1, 1]]
    assert METRICS["f1"].score(output, labels) == pytest.approx((2 / 3 + 4 / 5) / 2)
    x = np.ones((4, 5))
    assert METRICS["sqnr"].score(x * 1.1, x) == pytest.approx(20.0) and METRICS["sqnr"].score(x, x) == 200.0


def test_a_metric_of_ones_own(tmp_path, monkeypatch):
    (tmp_path / "my_metric.py").write_text("def half(outputs, labels):\n    return 0.5\n")
    monkeypatch.chdir(tmp_path)
    assert find_metric("my_metric:half").score(np.zeros(3), np.zeros(3)) == 0.5
    for name in ("my_metric:missing", "no_such_module:f"):
        with pytest.raises(OctetError, match="package.module:function"):
            find_metric(name)


def test_intervals_are_paired():
    labels = np.arange(400) % 10
    exact = {"y": np.eye(10)[labels]}
    worse = {"y": exact["y"].copy()}
    worse["y"][:8] = np.eye(10)[(labels[:8] + 1) % 10]
    judge, f1 = (
        MetricJudge({}, Scoring(METRICS[name], {"y": labels}, count=400), {"y": 1.0}) for name in ("top1", "f1")
    )
    low, high = interval_of_losses(judge, exact, worse, 0, "y")
    assert low < 0.02 < high and high - low < 0.03 and interval_of_losses(judge, exact, exact, 0, "y") == (0.0, 0.0)
    assert interval_of_losses(f1, exact, worse, 3, "y") == interval_of_losses(f1, exact, worse, 3, "y")


@pytest.mark.parametrize("text", ["0/4", "5/4", "1", "a/b"])
def test_bad_shards(text):
    with pytest.raises(OctetError, match="--shard"):
        parse_shard(text)


def test_calibration_in_shards_and_from_statistics(small, octet, tmp_path):
    model, calib = small / "small.onnx", small / "calib.npz"
    for i in (1, 2):
        octet("calibrate", model, "--calib", calib, "--shard", f"{i}/2", "-o", tmp_path / f"{i}.npz")
    octet("calibrate", "--merge", tmp_path / "1.npz", "--merge", tmp_path / "2.npz", "-o", tmp_path / "both.npz")
    octet("calibrate", model, "--calib", calib, "-o", tmp_path / "all.npz")
    assert "fresh" in octet("calibrate", model, "--calib", calib, "-o", tmp_path / "all.npz")
    with np.load(tmp_path / "both.npz") as both, np.load(tmp_path / "all.npz") as whole:
        assert np.array_equal(both["histograms"], whole["histograms"]) and np.array_equal(
            both["ranges"], whole["ranges"]
        )
    assert "int8" in octet("compile", model, "--calib", tmp_path / "both.npz", "-o", tmp_path / "d.octet")


def test_the_study_compares_granularities(small, octet, tmp_path):
    arguments = (
        "study",
        small / "small.onnx",
        "--calib",
        small / "calib.npz",
        "--data",
        small / "val.npz",
        "--metric",
        "f1",
        "--seed",
        3,
    )
    octet(*arguments, "--json", tmp_path / "s.json", "--html", tmp_path / "s.html")
    rows = json.loads((tmp_path / "s.json").read_text())["rows"]
    pairs = {(row["weights"], row["batch_norm"]) for row in rows}
    assert pairs == {(weights, folding) for weights in ("per-channel", "per-tensor") for folding in ("folded", "kept")}
    assert all(row["low"] <= row["drop"] <= row["high"] for row in rows)
    assert "<table" in (tmp_path / "s.html").read_text()
    training = (
        ("--train", small / "val.npz", "--epochs", 1) if find_spec("torch") else ()
    )  # These rows are its own; all others are equal for equal arguments.
    octet(*arguments, *training, "--json", tmp_path / "again.json")
    again = json.loads((tmp_path / "again.json").read_text())["rows"]
    tuned = [row for row in again if "fine-tuned" in row["calibration"]]
    assert [row for row in again if row not in tuned] == rows
    assert {(row["weights"], row["batch_norm"]) for row in tuned} == (pairs if training else set()) and all(
        row["sqnr"] > 20 for row in tuned
    )
