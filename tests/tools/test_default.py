"""compile-model without a target: a network that int8 is far from fp32 on gets its channels rescaled, others
nothing."""

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper


def branches(folder, level: float):
    """folder/{net.onnx, calib.npz}: two ReLU branches of 4 channels, one `level` times the other, that count alike
    behind their concat."""
    rng = np.random.default_rng(0)
    one, two, both = (
        rng.standard_normal(shape).astype(np.float32) for shape in ((4, 3, 3, 3), (4, 3, 3, 3), (6, 8, 1, 1))
    )
    both[:, 4:] *= np.float32(level)
    constants = {"a": one, "b": two / np.float32(level), "c": both}
    node = helper.make_node
    nodes = [
        node("Conv", ["x", "a"], ["p"], pads=[1] * 4),
        node("Relu", ["p"], ["q"]),
        node("Conv", ["x", "b"], ["r"], pads=[1] * 4),
        node("Relu", ["r"], ["s"]),
        node("Concat", ["q", "s"], ["t"], axis=1),
        node("Conv", ["t", "c"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "branches",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 6, 8, 8])],
        [numpy_helper.from_array(a, name) for name, a in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), folder / "net.onnx")
    np.savez(folder / "calib.npz", x=rng.standard_normal((40, 3, 8, 8)).astype(np.float32))
    return folder


@pytest.mark.parametrize(
    ("level", "repair", "rescaled"), [(64.0, "--repair", True), (64.0, "--no-repair", False), (1.0, "--repair", False)]
)
def test_channels_are_rescaled_where_it_helps(octet, tmp_path, level, repair, rescaled):
    folder = branches(tmp_path, level)
    octet(
        "compile",
        folder / "net.onnx",
        "--calib",
        folder / "calib.npz",
        "-o",
        folder / "o.octet",
        repair,
        "--no-cache",
        "--json",
        folder / "o.json",
        "--threads",
        1,
    )
    report = json.loads((folder / "o.json").read_text())
    assert (report["agreement"]["sqnr_db"] > 25) == (rescaled or level == 1.0)
    assert (
        report["agreement"]["samples"] == 10
        and report["agreement"]["held_out"]
        and report["calibration"]["samples"] == 30
    )
    steps = report.get("workflow", {}).get("steps", [])
    kept = [step["name"] for step in steps if step["kept"] and step["name"] != "corrected biases"]
    assert kept[1:] == (["rescaled channels (equalize)"] if rescaled else [])


def test_what_the_budget_has_no_time_for_is_left_out_and_said(octet, tmp_path):
    folder = branches(tmp_path, 64.0)
    octet(
        "compile",
        folder / "net.onnx",
        "--calib",
        folder / "calib.npz",
        "-o",
        folder / "o.octet",
        "--no-cache",
        "--json",
        folder / "o.json",
        "--threads",
        1,
        "--budget",
        "0s",
    )
    report = json.loads((folder / "o.json").read_text())
    assert [step["name"] for step in report["workflow"]["steps"]] == [
        "rescaled channels: left out, there is no time for it (--budget)"
    ]
    assert 0 < report["agreement"]["sqnr_db"] < 25 and not report["workflow"]["design"]["scaling"]


def test_the_operator_whose_error_is_large_is_left_in_float(octet, tmp_path):
    """Channels of the input that lie far apart, which no constant in front of the first layer can absorb."""
    rng = np.random.default_rng(0)
    levels = np.float32([1, 400]).reshape(2, 1, 1)
    constants = {
        "a": (rng.standard_normal((8, 2, 1, 1)) / levels).astype(np.float32),
        "b": rng.standard_normal((64, 8, 3, 3)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["x", "a"], ["p"]),
        helper.make_node("Sigmoid", ["p"], ["q"]),
        helper.make_node("Conv", ["q", "b"], ["y"], pads=[1] * 4),
    ]
    inputs, outputs = (
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, channels, 8, 8])]
        for name, channels in (("x", 2), ("y", 64))
    )
    weights = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "levels", inputs, outputs, weights)
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "net.onnx"
    )
    np.savez(tmp_path / "calib.npz", x=levels * rng.standard_normal((40, 2, 8, 8)).astype(np.float32))
    files = ("--calib", tmp_path / "calib.npz", "-o", tmp_path / "o.octet", "--json", tmp_path / "o.json")
    octet("compile", tmp_path / "net.onnx", *files, "--no-cache", "--threads", 1)
    report = json.loads((tmp_path / "o.json").read_text())
    assert report["agreement"]["sqnr_db"] > 24 and report["multiply_adds"]["float"] == 8 * 8 * 8 * 2
    assert report["workflow"]["float_operators"] == ["p"] and 0 < report["workflow"]["float_macs_fraction"] < 0.02
    kept = [step["name"] for step in report["workflow"]["steps"] if step["kept"]]
    (taken,) = (name for name in kept[1:] if "measured" not in name)
    assert taken.startswith("1 operator in float, +")


def test_a_package_with_rescaled_channels_is_not_said_to_be_remade(octet, tmp_path):
    folder = branches(tmp_path, 64.0)
    for arguments in (("calibrate", "-o", folder / "stats"), ("compile", "-o", folder / "o.octet", "--threads", 1)):
        octet(arguments[0], folder / "net.onnx", "--calib", folder / "calib.npz", *arguments[1:])
    said = octet(
        "rebuild", folder / "o.octet", "--model", folder / "net.onnx", "--statistics", folder / "stats", status=2
    )
    assert "--derivation" in said
