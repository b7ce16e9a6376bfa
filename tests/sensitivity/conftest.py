"""A small network, and a bench for it."""

import sys
from pathlib import Path

import numpy as np
import pytest

from octet.passes.frontend.onnx import load_onnx
from octet.passes.pipeline import canonicalize
from octet.passes.sensitivity.bench import Bench
from octet.tools.building.judge import MetricJudge
from octet.tools.metrics import METRICS
from octet.tools.scores import scoring_of

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import small_network


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return small_network.write(tmp_path_factory.mktemp("small"), calibration=96, validation=100)


@pytest.fixture(scope="session")
def small_model(folder):
    return canonicalize(load_onnx(folder / "small.onnx"))


@pytest.fixture(scope="session")
def calibration(folder):
    with np.load(folder / "calib.npz") as stored:
        return {"x": stored["x"]}


@pytest.fixture(scope="session")
def bench(small_model, calibration):
    return Bench(small_model, calibration, threads=1)


@pytest.fixture(scope="session")
def judge_of(folder):
    """judge_of(bench): on the validation samples."""
    with np.load(folder / "val.npz") as stored:
        arrays, labels = {"x": stored["x"]}, stored["labels"]

    def make(bench):
        scoring = scoring_of(METRICS["top1"], {"labels": labels}, bench.model, len(labels), "val.npz")
        return MetricJudge(arrays, scoring, scoring.scores(bench.float_outputs(arrays)))

    return make
