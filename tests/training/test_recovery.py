"""What no calibration and no repair saves, and training does: one scale for the weights of channels that differ by 2^6.
Two minutes of CPU time, so only in `make soak`."""

import json
import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner

pytest.importorskip("torch", reason="PyTorch is not installed (pip install 'octet[train]')")

from octet.tools.main import main

DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits"


def with_narrow_channels(model: onnx.ModelProto) -> onnx.ModelProto:
    """BatchNormalization's results that a Clip and one convolution read, each channel times a factor of 2^-6 to 1,
    which the convolution's weights undo.

    The Clip then cuts less, so this is another function, as good a classifier; and no repair takes the factors out
    again, as nothing passes a Clip at 6."""
    constants = {each.name: each for each in model.graph.initializer}
    producer = {name: node for node in model.graph.node for name in node.output}
    random = np.random.default_rng(0)

    def scale(name, factors, axis):
        array = onnx.numpy_helper.to_array(constants[name])
        shape = [-1 if i == axis else 1 for i in range(array.ndim)]
        constants[name].CopyFrom(
            onnx.numpy_helper.from_array((array * factors.reshape(shape)).astype(np.float32), name)
        )

    for node in model.graph.node:
        readers = [each for each in model.graph.node if node.output[0] in each.input]
        if node.op_type == "Clip" and [each.op_type for each in readers] == ["Conv"]:
            norm, weight = producer[node.input[0]], readers[0].input[1]
            factors = 2.0 ** random.uniform(-6, 0, constants[norm.input[1]].dims[0])
            scale(norm.input[1], factors, 0)
            scale(norm.input[2], factors, 0)
            scale(weight, 1 / factors, 0 if constants[weight].dims[1] == 1 else 1)
    return model


def octet(*arguments):
    result = CliRunner().invoke(main, [str(each) for each in arguments])
    assert result.exit_code == 0, result.output


def accuracy(report):
    return json.loads(report.read_text())["accuracy"]


@pytest.mark.skipif(not os.environ.get("OCTET_SOAK"), reason="only in make soak")
def test_training_saves_what_calibration_and_repairs_cannot(tmp_path):
    calib, val = DIGITS / "digits-calib.npz", DIGITS / "digits-val.npz"
    onnx.save(with_narrow_channels(onnx.load(DIGITS / "digits.onnx")), tmp_path / "narrow.onnx")
    octet(
        "compile",
        tmp_path / "narrow.onnx",
        "--calib",
        calib,
        "--validate",
        val,
        "--weights",
        "per-tensor",
        "--policy",
        "int8",  # No operator is left in float.
        "-o",
        tmp_path / "calibrated.octet",
        "--json",
        tmp_path / "calibrated.json",
    )
    octet(
        "finetune",
        tmp_path / "narrow.onnx",
        "--calib",
        calib,
        "--train",
        calib,
        "--validate",
        calib,
        "--metric",
        "sqnr",
        "--variants",
        "7",
        "--epochs",
        "10",
        "--threads",
        "1",
        "--weights",
        "per-tensor",
        "-o",
        tmp_path / "tuned.onnx",
    )
    octet(
        "compile",
        tmp_path / "tuned.onnx",
        "--validate",
        val,
        "-o",
        tmp_path / "tuned.octet",
        "--json",
        tmp_path / "tuned.json",
    )
    before, after = accuracy(tmp_path / "calibrated.json"), accuracy(tmp_path / "tuned.json")
    assert before["fp32"] > 0.98 and before["drop"] > 0.2, "nothing to recover"
    assert after["drop"] < 0.01
