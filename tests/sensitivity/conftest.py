"""The bundled example, its twin, and a bench for it."""

from pathlib import Path

import numpy as np
import pytest

from octet.passes.frontend.onnx import load_onnx
from octet.passes.pipeline import canonicalize
from octet.passes.sensitivity.bench import Bench
from octet.tools.judge import Judge
from octet.tools.metrics import METRICS

DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits"


def arrays_of(name):
    with np.load(DIGITS / name) as stored:
        arrays = {key: stored[key] for key in stored.files}
    return {key: value for key, value in arrays.items() if key != "labels"}, arrays.get("labels")


@pytest.fixture(scope="session")
def digits_model():
    return canonicalize(load_onnx(DIGITS / "digits.onnx"))


@pytest.fixture(scope="session")
def calibration():
    return {name: array[:96] for name, array in arrays_of("digits-calib.npz")[0].items()}


@pytest.fixture(scope="session")
def bench(digits_model, calibration):
    return Bench(digits_model, calibration, threads=1)


@pytest.fixture(scope="session")
def judge_of():
    """judge_of(bench): on the first 200 validation samples."""
    arrays, labels = arrays_of("digits-val.npz")
    arrays, labels = {name: array[:200] for name, array in arrays.items()}, labels[:200]

    def make(bench):
        output = bench.model.outputs[0].name
        return Judge(arrays, labels, METRICS["top1"], output, METRICS["top1"].score(bench.float_outputs(arrays)[output], labels))

    return make
