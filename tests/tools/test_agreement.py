"""Agreement with fp32: of every float output, on samples that ranges do not come from. Outputs that are probabilities
are found in the graph, and what fp32 and int8 decide by them is counted without the usual decision."""

from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from octet.passes.frontend.onnx import load_onnx
from octet.passes.pipeline import canonicalize
from octet.passes.sensitivity.padded_outputs import Padding
from octet.targets.variant import TensorSpec
from octet.tools.evaluating import agreement
from octet.tools.evaluating.agreement import Yardstick
from octet.tools.evaluating.decisions import HALF, LARGEST, Decisions, decided_outputs


class Spoken:
    """A session that answers with its input times factors by output, and notes what it was asked."""

    def __init__(self, batch=1, seen=None, **factors):
        self.batch, self.target, self.factors, self.seen = batch, "x86-64-v3", factors, [] if seen is None else seen
        self.inputs = (TensorSpec("x", (batch, 3), "float32"),)
        self.outputs = tuple(
            TensorSpec(
                name, (batch, 3), "int64" if name in "mn" else "float32", counted=(1, "n") if name == "c" else None
            )
            for name in factors
        )

    def run(self, feed):
        self.seen.append(feed["x"])
        return {
            name: feed["x"] * factor if name not in "mn" else (feed["x"] * factor).astype(np.int64)
            for name, factor in self.factors.items()
        }


def agreed(monkeypatch, fp32, int8, samples, outputs=(), padding=Padding()):
    monkeypatch.setattr(agreement, "float_session", lambda model, threads, target: fp32)
    monkeypatch.setattr(agreement, "padding_of", lambda model: padding)
    monkeypatch.setattr(agreement, "decided_outputs", lambda model: {})
    return Yardstick(samples, outputs).agreement(None, SimpleNamespace(), int8)


ONES = {"x": np.ones((50, 3), np.float32)}


def test_the_worst_output_is_what_is_said(monkeypatch):
    found = agreed(monkeypatch, Spoken(y=1, z=2, n=1), Spoken(y=0.99, z=1.8, n=1), ONES)
    assert found["outputs"] == {"y": 40.0, "z": 20.0} and (found["sqnr_db"], found["output"]) == (20.0, "z")
    assert found["samples"] == 12 and found["held_out"] and found["zero"] == []
    assert agreed(monkeypatch, Spoken(y=1, z=2), Spoken(y=0.99, z=1.8), ONES, ("y",))["sqnr_db"] == 40.0


def test_fp32_of_large_weights_is_built_again_where_it_was_let_go(monkeypatch):
    built = []

    def float_session(model, threads, target):
        built.append(SimpleNamespace(weights=np.zeros(100, np.uint8)))
        return built[-1]

    monkeypatch.setattr(agreement, "float_session", float_session)
    yardstick = Yardstick(ONES)
    for large, count in ((100, 1), (99, 2)):
        monkeypatch.setattr(agreement, "LARGE", large)
        yardstick.fp32(None, "x86-64-v3")
        yardstick.release()
        assert yardstick.fp32(None, "x86-64-v3") is built[-1] and len(built) == count


def test_integers_are_counted(monkeypatch):
    """x is 1, so that 2 x is another integer; also of a network without a float output."""
    found = agreed(monkeypatch, Spoken(n=1), Spoken(n=1), ONES)
    assert found["integers"] == {"n": {"same": 36, "of": 36}} and found["held_out"] and "sqnr_db" not in found
    found = agreed(monkeypatch, Spoken(y=1, m=1), Spoken(y=1, m=2), ONES)
    assert found["integers"] == {"m": {"same": 0, "of": 36}} and found["sqnr_db"] == 200.0


@pytest.mark.parametrize("batch", [1, 4])
def test_only_samples_that_were_held_out_are_run(monkeypatch, batch):
    seen, x = [], np.arange(1, 151, dtype=np.float32).reshape(50, 3)
    found = agreed(monkeypatch, Spoken(batch, seen, y=1), Spoken(batch, y=1), {"x": x})
    rows = np.unique(np.concatenate(seen), axis=0)
    assert len(rows) == found["samples"] == 12 and found["sqnr_db"] == 200.0
    assert ((rows[:, 0] - 1) / 3).astype(int).tolist() == [i for i in range(50) if i // batch % 4 == 3]


def test_a_few_samples_are_said_to_be_those_of_calibration(monkeypatch):
    found = agreed(monkeypatch, Spoken(y=1), Spoken(y=0.9), {"x": np.ones((5, 3), np.float32)})
    assert found["samples"] == 5 and not found["held_out"]


def test_what_is_not_finite_is_named(monkeypatch):
    assert agreed(monkeypatch, Spoken(y=1, z=1), Spoken(y=np.float32(np.nan), z=1), ONES)["not_finite"] == ["y"]
    assert agreed(monkeypatch, Spoken(y=np.float32(np.nan), z=1), Spoken(y=np.float32(np.nan), z=1), ONES)["zero"] == [
        "y"
    ]


def test_nothing_is_said_of_zeros_or_without_samples(monkeypatch):
    found = agreed(monkeypatch, Spoken(y=0, z=1), Spoken(y=0.1, z=0.9), ONES)
    assert found["zero"] == ["y"] and found["output"] == "z"
    assert "sqnr_db" not in agreed(monkeypatch, Spoken(y=0), Spoken(y=0), ONES)
    assert agreed(monkeypatch, Spoken(c=1), Spoken(c=1), ONES) == {}, "both may give different numbers of results"
    assert agreed(monkeypatch, Spoken(y=1), Spoken(y=1), None) == {}


def test_padding_does_not_count(monkeypatch):
    """x itself stands for the mask: where it is 0 both answer something else."""
    x = np.ones((50, 3), np.float32)
    x[:, 2] = 0
    fp32, int8 = Spoken(y=1), Spoken(y=0.99)
    for session, there in ((fp32, 5.0), (int8, -5.0)):
        session.run = lambda feed, run=session.run, there=there: {
            name: np.where(feed["x"] == 0, np.float32(there), value) for name, value in run(feed).items()
        }
    assert agreed(monkeypatch, fp32, int8, {"x": x})["sqnr_db"] < 0
    found = agreed(monkeypatch, fp32, int8, {"x": x}, padding=Padding("x", {"y": 1}))
    assert found["sqnr_db"] == 40.0 and found["padding"] == "x"


def network(folder, nodes, shape):
    """Canonical: x [1, 4, 6] to y of `shape`."""
    nodes = [helper.make_node(*node[:3], **(node[3] if len(node) > 3 else {})) for node in nodes]
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("x", [1, 4, 6]), ("y", shape)))
    shapes = [
        helper.make_tensor("flat", TensorProto.INT64, [2], [4, 6]),
        helper.make_tensor("one", TensorProto.INT64, [3], [1, 4, 6]),
    ]
    graph = helper.make_graph(nodes, "n", [x], [y], shapes)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), folder / "n.onnx")
    return canonicalize(load_onnx(folder / "n.onnx"))


SOFTMAX = ("Softmax", ["x"], ["p"], {"axis": -1})


@pytest.mark.parametrize(
    ("nodes", "shape", "kind"),
    [
        ([("Sigmoid", ["x"], ["y"])], [1, 4, 6], HALF),
        ([("Sigmoid", ["x"], ["p"]), ("Transpose", ["p"], ["y"], {"perm": [0, 2, 1]})], [1, 6, 4], HALF),
        ([("Softmax", ["x"], ["y"], {"axis": -1})], [1, 4, 6], LARGEST),
        (
            [("Reshape", ["x", "flat"], ["r"]), ("Softmax", ["r"], ["p"]), ("Reshape", ["p", "one"], ["y"])],
            [1, 4, 6],
            LARGEST,
        ),
        # The classes lie along another axis.
        ([SOFTMAX, ("Transpose", ["p"], ["y"], {"perm": [0, 2, 1]})], [1, 6, 4], None),
        ([SOFTMAX, ("Reshape", ["p", "flat"], ["y"])], [4, 6], None),  # The promise speaks of one decision a row.
        ([("Tanh", ["x"], ["y"])], [1, 4, 6], None),
        (
            [("ReduceSum", ["x"], ["s"], {"keepdims": 0}), ("Sigmoid", ["s"], ["y"])],
            [],
            HALF,
        ),  # A scalar has no last axis.
    ],
)
def test_which_outputs_decide(tmp_path, nodes, shape, kind):
    assert decided_outputs(network(tmp_path, nodes, shape)) == ({} if kind is None else {"y": kind})


def test_the_usual_decision_does_not_count():
    made = Decisions({"y": HALF, "z": LARGEST})
    for _ in range(2):
        exact = {"y": np.array([[0.9, 0.8, 0.1, 0.2, 0.3]]), "z": np.eye(4)[[[0, 0, 0, 1, 2, 3]]]}
        found = {"y": np.array([[0.7, 0.4, 0.2, 0.6, 0.0]]), "z": np.eye(4)[[[0, 0, 3, 1, 3, 3]]]}
        made.add(exact, found, {})
    assert made.found == {
        "y": {"kind": HALF, "same": 2, "asked": 6},  # Of 0.9, 0.8 and 0.2 the first agrees.
        # The last four and the third agree, less the two that both call 0.
        "z": {"kind": LARGEST, "same": 4, "asked": 8},
    }


def test_places_that_are_padding_do_not_count():
    made = Decisions({"y": HALF})
    made.add({"y": np.array([[0.9, 0.8]])}, {"y": np.array([[0.9, 0.1]])}, {"y": np.array([[True, False]])})
    assert made.found == {"y": {"kind": HALF, "same": 1, "asked": 1}}
    made = Decisions({"y": HALF})
    made.add({"y": np.array([[0.1]])}, {"y": np.array([[0.2]])}, {})
    assert made.found == {}
