"""Other runtimes beside Octet: one that fails, crashes or takes too much costs its own row."""

import builtins
import faulthandler
import io
import os
import signal
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from rich.console import Console

from octet.targets.batches import Feeds
from octet.targets.errors import OctetError
from octet.targets.runtime import Session
from octet.targets.variant import TensorSpec
from octet.tools.benchmarking.load import under_load
from octet.tools.commands.bench_tables import print_benchmark
from octet.tools.peers import runtimes as peers
from octet.tools.peers.process import Peer, PeerFailed, memory_for, once
from octet.tools.timing import interleaved

SCALE = {"s": np.float32(0.1), "z": np.int8(0)}
DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits"


def test_unknown_peer():
    with pytest.raises(OctetError, match="take one or both of: onnxruntime,openvino"):
        peers.chosen_peers("onnxruntime,tensorrt")


def test_missing_peer(monkeypatch):
    real = builtins.__import__

    def absent(name, *rest):
        if name.startswith("onnxruntime"):
            raise ImportError("no", name=name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(OctetError, match=r"pip install 'octet\[peers\]'"):
        peers.chosen_peers("onnxruntime")


@pytest.mark.parametrize("name", peers.PEERS)
def test_peers_classify_the_digits(name):
    pytest.importorskip("onnxruntime")
    pytest.importorskip(name)
    with np.load(DIGITS / "digits-val.npz") as file:
        images, labels = file["image"][:8], file["labels"][:8]
    made, failed = peers.runners(
        peers.chosen_peers(name), DIGITS / "digits.onnx", [{"image": images}], {"image": images}, threads=1, streams=2
    )
    assert not failed and set(made) == {f"{name}-fp32", f"{name}-int8"}
    for run in made.values():
        answer = run()
        assert (next(iter(answer.values())).argmax(1) == labels).sum() >= 7
        assert run.both_times(3).shape == (2, 3)
        starts, ends = run.together(2, 0.02).T
        assert (starts < ends).all() and len(starts) >= 2
        run.close()


def test_torch_is_compared_elsewhere():
    with pytest.raises(OctetError, match="--against torch: .*tests/cuda/on_device.py"):
        peers.chosen_peers("onnxruntime,torch")


def crash(*rest):
    faulthandler.disable()  # Otherwise it prints the stack.
    os.kill(os.getpid(), signal.SIGSEGV)


def refuse(*rest, **more):
    raise RuntimeError("bad model\nmore")


def test_a_peer_that_crashes_or_fails_costs_its_row_only(tmp_path, monkeypatch):
    """A runtime that kills itself, and another that cannot read the model."""
    (tmp_path / "net.onnx").write_bytes(b"x")
    monkeypatch.setattr(peers, "OPENERS", {"openvino": crash, "onnxruntime": refuse})
    monkeypatch.setattr(peers.onnxruntime_peer, "quantized", lambda path, batches, folder, operators: path)
    feed = {"x": np.zeros((1, 2), np.float32)}
    made, failed = peers.runners(peers.PEERS, tmp_path / "net.onnx", [feed], feed, 1)
    crashed, unread = "cannot run: crashed (signal 11)", "cannot run: bad model"
    assert made == {} and failed == {
        "openvino-fp32": crashed,
        "openvino-int8": crashed,
        "onnxruntime-fp32": unread,
        "onnxruntime-int8": unread,
    }
    text = io.StringIO()
    latency = {"latency_ms": 1.0, "p10_ms": 1.0, "p90_ms": 1.0, "best_ms": 1.0, "cpu_ms": 1.0, "runs": 3}
    report = {
        "model": "net",
        "variant": "amx",
        "threads": 1,
        "batch": 1,
        "precision": "int8",
        "details": {"octet-int8": latency},
        "ratios": {},
        "failed": failed,
    }
    print_benchmark(Console(file=text, width=200), report)
    assert crashed in text.getvalue() and unread in text.getvalue()


def test_a_model_that_cannot_be_quantised_leaves_fp32(tmp_path, monkeypatch):
    (tmp_path / "net.onnx").write_bytes(b"x")
    monkeypatch.setattr(peers.onnxruntime_peer, "quantized", refuse)
    monkeypatch.setitem(peers.OPENERS, "onnxruntime", lambda *rest: dict)
    feed = {"x": np.zeros((1, 2), np.float32)}
    made, failed = peers.runners(("onnxruntime",), tmp_path / "net.onnx", [feed], feed, 1)
    assert set(made) == {"onnxruntime-fp32"} and failed == {
        "onnxruntime-int8": "onnxruntime cannot quantise it: bad model"
    }
    made["onnxruntime-fp32"].close()


def test_a_file_that_comes_quantised_is_read_as_it_is(tmp_path, monkeypatch):
    operands = ["x", *SCALE]
    codes = helper.make_node("QuantizeLinear", operands, ["q"])
    node = helper.make_node("DequantizeLinear", ["q", *operands[1:]], ["y"])
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 2]) for name in "xy"]
    known = [numpy_helper.from_array(np.asarray(value), name) for name, value in SCALE.items()]
    onnx.save(helper.make_model(helper.make_graph([codes, node], "g", ends[:1], ends[1:], known)), tmp_path / "q.onnx")
    monkeypatch.setattr(peers.onnxruntime_peer, "quantized", refuse)
    monkeypatch.setitem(peers.OPENERS, "onnxruntime", lambda *rest: dict)
    feed = {"x": np.zeros((1, 2), np.float32)}
    made, failed = peers.runners(("onnxruntime",), tmp_path / "q.onnx", [feed], feed, 1)
    assert set(made) == {"onnxruntime-int8"} and failed == {"onnxruntime-fp32": "the file comes quantised"}
    made["onnxruntime-int8"].close()


def test_where_not_every_operator_can_be_quantised_those_with_weights_are(tmp_path, monkeypatch):
    def quantized(path, batches, folder, operators):
        return path if operators else refuse()

    (tmp_path / "net.onnx").write_bytes(b"x")
    monkeypatch.setattr(peers.onnxruntime_peer, "quantized", quantized)
    monkeypatch.setitem(peers.OPENERS, "onnxruntime", lambda *rest: dict)
    feed = {"x": np.zeros((1, 2), np.float32)}
    made, failed = peers.runners(("onnxruntime",), tmp_path / "net.onnx", [feed], feed, 1)
    assert set(made) == {"onnxruntime-fp32", "onnxruntime-int8"} and failed == {}
    for each in made.values():
        each.close()


def test_a_peer_has_so_much_memory_and_time():
    with pytest.raises(PeerFailed, match="wants more memory than the 0.3 GB") as error:
        once(lambda: np.ones(1 << 27).sum(), memory=300 << 20)
    assert error.value.memory and once(lambda: np.ones(1 << 20).sum(), memory=300 << 20) == 1 << 20
    with pytest.raises(PeerFailed, match="no answer within 0.2 s"):
        once(lambda: time.sleep(30), memory=1 << 30, seconds=0.2)
    with pytest.raises(PeerFailed, match="ended with status 0"):
        once(lambda: os._exit(0), memory=1 << 30)
    assert memory_for(__file__) == 4 << 30


def test_a_peer_that_ends_while_it_is_timed_is_left_out():
    turns = iter(range(10))
    peer = Peer(lambda: lambda: os._exit(1) if next(turns) == 7 else None, memory=1 << 30)
    lost = {}
    found = interleaved({"ours": lambda: None, "peer": peer}, rounds=4, round_seconds=0.001, lost=lost)
    assert set(found) == {"ours"} and lost == {"peer": "ended with status 1"}


def test_a_peer_that_ends_under_load_is_left_out(toy_variant):
    def opened():
        def run():
            return None

        run.many = lambda: os._exit(1)
        return run

    lost, peer = {}, Peer(opened, memory=1 << 30)
    with Session(toy_variant, threads=1, streams=2) as session:
        one, two, *_ = under_load(
            session, {"x": np.ones((4, 16), np.float32)}, (1, 2), 0.03, "ours", {"peer": peer}, lost
        )
    assert (one.name, one.streams, two.name, two.streams) == ("ours", 1, "ours", 2) and lost == {
        "peer": "ended with status 1"
    }


def test_runs_are_read_when_they_are_asked_for():
    class Rows:
        """An array that tells what was read of it."""

        def __init__(self):
            self.read = []

        def __len__(self):
            return 5

        def __getitem__(self, rows):
            self.read += list(rows)
            return np.zeros((len(rows), 3), np.float32)

    rows = Rows()
    feeds = Feeds((TensorSpec("x", (2, 3), "float32"),), {"x": rows}, 2)
    assert len(feeds) == 3 and rows.read == []
    assert (
        next(iter(feeds))["x"].shape == (2, 3)
        and rows.read == [0, 1]
        and len(list(feeds)) == 3
        and rows.read[-2:] == [4, 4]
    )
    assert len(Feeds((TensorSpec("x", (2, 3), "float32"),), {"x": rows}, 2, most=3)) == 2


@pytest.mark.parametrize("opset, beside", [(11, False), (17, True)])
def test_what_a_peer_would_not_read_is_written_anew(tmp_path, opset, beside):
    """Below opset 13 a scale per channel is unknown: ONNX Runtime writes such a model and does not load it. Weights in
    a file beside are looked for in the wrong folder."""
    pytest.importorskip("onnxruntime")
    from onnx import TensorProto, helper, numpy_helper, save

    weight = numpy_helper.from_array(np.random.default_rng(0).standard_normal((16, 3, 3, 3)).astype(np.float32), "w")
    bias = numpy_helper.from_array(np.ones(16, np.float32), "b")
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("x", (1, 3, 8, 8)), ("y", (1, 16, 6, 6)))
    ]
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w", "b"], ["y"])], "old", values[:1], values[1:], [weight, bias]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    save(model, tmp_path / "net.onnx", save_as_external_data=beside, location="net.data")
    feed = {"x": np.random.default_rng(1).standard_normal((1, 3, 8, 8)).astype(np.float32)}
    (tmp_path / "made").mkdir()
    made = peers.onnxruntime_peer.quantized(tmp_path / "net.onnx", [feed], tmp_path / "made")
    assert peers.onnxruntime_peer.session(made, 1)(feed)["y"].shape == (1, 16, 6, 6)


def test_peers_take_fixed_inputs_and_states(tmp_path):
    """An input that was fixed is a constant for the peers too; a state [2, 1, 3] beside an input [1, 3] is fed as it
    runs."""
    pytest.importorskip("onnxruntime")
    from onnx import TensorProto, helper, save

    shapes = {"x": (1, 3), "state": (2, 1, 3), "rate": ()}
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    nodes = [helper.make_node("Add", ["x", "state"], ["sum"]), helper.make_node("Mul", ["sum", "rate"], ["y"])]
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, (2, 1, 3))
    save(
        helper.make_model(
            helper.make_graph(nodes, "fixed", values, [out]), opset_imports=[helper.make_opsetid("", 17)], ir_version=8
        ),
        tmp_path / "net.onnx",
    )
    specs = (TensorSpec("x", (1, 3), "float32"), TensorSpec("state", (2, 1, 3), "float32"))
    feeds = Feeds(specs, {"x": np.ones((4, 3), np.float32), "state": np.ones((4, 2, 1, 3), np.float32)}, 1)
    made, failed = peers.runners(("onnxruntime",), tmp_path / "net.onnx", feeds, feeds[0], 1, {"rate": 16})
    assert not failed and np.array_equal(made["onnxruntime-fp32"]()["y"], np.full((2, 1, 3), 32.0))
