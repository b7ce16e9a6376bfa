"""octet evaluate --against, and what it says of wrong options."""

import builtins
import json

import onnx
import pytest
from onnx import TensorProto, helper

from octet.targets.errors import OctetError
from octet.targets.variant import TensorSpec
from octet.tools.evaluating import comparing, comparison
from octet.tools.metrics import METRICS
from octet.tools.peers import onnxruntime_peer
from octet.tools.scores import Scoring


def test_the_tools_side_by_side(small, octet, tmp_path):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("nncf")
    printed = octet(
        "evaluate",
        small / "small.onnx",
        "--data",
        small / "val.npz",
        "--calib",
        small / "calib.npz",
        "--against",
        "onnxruntime,nncf,nncf-accuracy-control",
        "--json",
        tmp_path / "e.json",
    )
    report = json.loads((tmp_path / "e.json").read_text())
    rows = {row["name"]: row for row in report["against"]}
    assert rows["octet fp32"]["top1"] == rows["onnxruntime fp32"]["top1"] == report["top1"] == 1.0
    assert {
        "octet int8, as calibrated",
        "onnxruntime Entropy",
        "nncf performance",
        "nncf mixed",
        "nncf accuracy control",
    } <= rows.keys()
    assert all(
        row["top1"] > 0.8 and row["drop"] == pytest.approx(1 - row["top1"]) and not row["error"]
        for row in rows.values()
    )
    assert set(report["versions"]) == {"onnxruntime", "openvino", "nncf"} and "nncf mixed" in printed


def test_a_tool_that_fails_is_a_row(small, monkeypatch):
    pytest.importorskip("onnxruntime")

    def failing(*arguments):
        raise ValueError("no\nsuch thing")

    monkeypatch.setattr(onnxruntime_peer, "quantized", failing)
    monkeypatch.setattr(onnxruntime_peer, "session", failing)
    import numpy as np

    x, scoring = np.zeros((3, 3, 8, 8), np.float32), Scoring(METRICS["top1"], {"y": np.zeros(3, np.int64)}, count=3)
    work = comparison.Comparison(
        str(small / "small.onnx"),
        (TensorSpec("x", (2, 3, 8, 8), "float32"),),
        (TensorSpec("y", (2, 5), "float32"),),
        {"x": x},
        {"x": x},
        scoring,
        batch=2,
        threads=1,
    )
    found = list(work.results(("onnxruntime",)))
    assert len(found) == 5 and all(row.value is None and row.error == "ValueError: no such thing" for row in found)
    assert [rows.tolist() for rows in work._rows()] == [[0, 1], [2, 2]]
    assert [len(feed["x"]) for feed in work._feeds({"x": x})] == [2, 2], "the last batch is filled up"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("m.onnx", "onnxruntime", None, None), "needs --calib"),
        (("m.octet", "onnxruntime", "c.npz", None), "is a package, add --model"),
        (("m.onnx", "onnxruntime", "c.npz", "m.onnx"), "leave it out"),
        (("m.onnx", None, "c.npz", None), "add --against"),
        (("m.onnx", "tensorrt", "c.npz", None), "unknown; take some of: onnxruntime,nncf"),
    ],
)
def test_options_that_do_not_go_together(arguments, says):
    with pytest.raises(OctetError, match=says):
        comparing.check_options(*arguments, METRICS["top1"])


def test_without_against_nothing_is_needed():
    assert comparing.check_options("m.onnx", None, None, None, METRICS["top1"]) == ()


def test_a_tool_that_is_not_installed(monkeypatch):
    real = builtins.__import__

    def absent(name, *rest):
        if name.startswith(("onnxruntime", "openvino")):
            raise ImportError("no", name=name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", absent)
    for name in ("onnxruntime", "nncf"):
        with pytest.raises(OctetError, match=r"pip install 'octet\[peers\]'"):
            comparison.chosen_tools(name)


@pytest.mark.parametrize(("between", "attends"), [("Where", True), ("Relu", False)])
def test_attention_makes_a_transformer(small, tmp_path, between, attends):
    assert not comparison.is_transformer(small / "small.onnx")
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [4, 4]) for name in "xv"]
    passed = (
        helper.make_node("Relu", ["s"], ["p"])
        if between == "Relu"
        else helper.make_node("Where", ["c", "s", "s"], ["p"])
    )
    nodes = [helper.make_node("Softmax", ["x"], ["s"]), passed, helper.make_node("MatMul", ["p", "v"], ["y"])]
    condition = [helper.make_tensor_value_info("c", TensorProto.BOOL, [4, 4])]
    graph = helper.make_graph(
        nodes, "g", inputs + condition, [helper.make_tensor_value_info("y", TensorProto.FLOAT, [4, 4])]
    )
    onnx.save(helper.make_model(graph), tmp_path / "a.onnx")
    assert comparison.is_transformer(tmp_path / "a.onnx") is attends


def test_a_metric_that_compares_with_fp32_needs_only_the_fp32_network():
    assert comparing.check_options("a.octet", None, None, "a.onnx", METRICS["cosine"]) == ()
    with pytest.raises(OctetError, match="add --against"):
        comparing.check_options("a.octet", None, None, "a.onnx", METRICS["top1"])
