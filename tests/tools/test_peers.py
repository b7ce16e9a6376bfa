import builtins
import io
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from octet.targets.errors import OctetError
from octet.tools.commands.summary import print_benchmark
from octet.tools.peers import runtimes as peers

DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits"


def test_unknown_peer():
    with pytest.raises(OctetError, match="take one or both of: onnxruntime,openvino"):
        peers.chosen("onnxruntime,tensorrt")


def test_missing_peer(monkeypatch):
    real = builtins.__import__

    def absent(name, *rest):
        if name.startswith("onnxruntime"):
            raise ImportError("no", name=name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(OctetError, match=r"pip install 'octet\[peers\]'"):
        peers.chosen("onnxruntime")


@pytest.mark.parametrize("name", peers.PEERS)
def test_peers_classify_the_digits(name):
    pytest.importorskip("onnxruntime")
    pytest.importorskip(name)
    with np.load(DIGITS / "digits-val.npz") as file:
        images, labels = file["image"][:8], file["labels"][:8]
    made, failed = peers.runners(peers.chosen(name), DIGITS / "digits.onnx", [{"image": images}], {"image": images}, threads=1)
    assert not failed and set(made) == {f"{name}-fp32", f"{name}-int8"}
    for run in made.values():
        answer = run()
        logits = answer if isinstance(answer, np.ndarray) else next(iter(answer.values()))
        assert (np.asarray(logits).argmax(1) == labels).sum() >= 7


def test_torch_is_compared_elsewhere():
    with pytest.raises(OctetError, match="--against torch: .*tests/cuda/on_device.py"):
        peers.chosen("onnxruntime,torch")


def test_a_peer_that_crashes_or_fails_costs_its_row_only(tmp_path, monkeypatch):
    """A runtime that kills itself, and another that cannot read the model."""
    for name, body in (("openvino", "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"), ("onnxruntime", "raise RuntimeError('bad model\\nmore')")):
        (tmp_path / f"{name}.py").write_text(body)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(peers.onnxruntime_peer, "quantized", lambda path, batches, folder: path)
    feed = {"x": np.zeros((1, 2), np.float32)}
    made, failed = peers.runners(peers.PEERS, tmp_path / "net.onnx", [feed], feed, 1)
    crashed, unread = "crashed (signal 11)", "cannot load: bad model"
    assert made == {} and failed == {"openvino-fp32": crashed, "openvino-int8": crashed, "onnxruntime-fp32": unread, "onnxruntime-int8": unread}
    text = io.StringIO()
    latency = {"latency_ms": 1.0, "p10_ms": 1.0, "p90_ms": 1.0, "best_ms": 1.0, "runs": 3}
    report = {"model": "net", "variant": "amx", "threads": 1, "batch": 1, "precision": "int8", "details": {"octet-int8": latency}, "ratios": {}, "failed": failed}
    print_benchmark(Console(file=text, width=200), report)
    assert crashed in text.getvalue() and unread in text.getvalue()


def test_a_model_that_cannot_be_quantised_leaves_fp32(tmp_path, monkeypatch):
    def refuse(*rest):
        raise ValueError("no such operator")

    monkeypatch.setattr(peers.onnxruntime_peer, "quantized", refuse)
    monkeypatch.setattr(peers, "probe", lambda *rest: None)
    monkeypatch.setitem(peers.OPENERS, "onnxruntime", lambda *rest: lambda: None)
    feed = {"x": np.zeros((1, 2), np.float32)}
    made, failed = peers.runners(("onnxruntime",), tmp_path / "net.onnx", [feed], feed, 1)
    assert set(made) == {"onnxruntime-fp32"} and failed == {"onnxruntime-int8": "onnxruntime cannot quantise it: no such operator"}


def test_a_network_of_an_old_opset_is_quantised_for_peers(tmp_path):
    """Below opset 13 a scale per channel is unknown: ONNX Runtime writes such a model and does not load it."""
    pytest.importorskip("onnxruntime")
    from onnx import TensorProto, helper, numpy_helper, save

    weight = numpy_helper.from_array(np.random.default_rng(0).standard_normal((4, 3, 3, 3)).astype(np.float32), "w")
    bias = numpy_helper.from_array(np.ones(4, np.float32), "b")
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in (("x", (1, 3, 8, 8)), ("y", (1, 4, 6, 6)))]
    graph = helper.make_graph([helper.make_node("Conv", ["x", "w", "b"], ["y"])], "old", values[:1], values[1:], [weight, bias])
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=6), tmp_path / "old.onnx")
    feed = {"x": np.random.default_rng(1).standard_normal((1, 3, 8, 8)).astype(np.float32)}
    made = peers.onnxruntime_peer.quantized(tmp_path / "old.onnx", [feed], tmp_path)
    assert peers.onnxruntime_peer.session(made, 1)(feed)["y"].shape == (1, 4, 6, 6)


def test_peers_take_fixed_inputs_and_states(tmp_path):
    """An input that was fixed is a constant for the peers too; a state [2, 1, 3] beside an input [1, 3] is fed as it runs."""
    pytest.importorskip("onnxruntime")
    from onnx import TensorProto, helper, save

    from octet.targets.samples import feeds_of
    from octet.targets.variant import TensorSpec

    shapes = {"x": (1, 3), "state": (2, 1, 3), "rate": ()}
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    nodes = [helper.make_node("Add", ["x", "state"], ["sum"]), helper.make_node("Mul", ["sum", "rate"], ["y"])]
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, (2, 1, 3))
    save(helper.make_model(helper.make_graph(nodes, "fixed", values, [out]), opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "net.onnx")
    specs = (TensorSpec("x", (1, 3), "float32"), TensorSpec("state", (2, 1, 3), "float32"))
    feeds = feeds_of(specs, {"x": np.ones((4, 3), np.float32), "state": np.ones((4, 2, 1, 3), np.float32)}, 1)
    made, failed = peers.runners(("onnxruntime",), tmp_path / "net.onnx", feeds, feeds[0], 1, {"rate": 16})
    assert not failed and np.array_equal(made["onnxruntime-fp32"]()["y"], np.full((2, 1, 3), 32.0))
