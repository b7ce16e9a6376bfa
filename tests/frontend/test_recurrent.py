"""LSTM, GRU and RNN nodes on import, unrolled and as loops, against ONNX Runtime."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from octet.passes.frontend.onnx import load_onnx
from octet.passes.frontend.recurrent import layer as recurrent
from octet.passes.referee.reference import run
from octet.passes.rewriting.loops import loops_of
from octet.targets.errors import UnsupportedModelError

T, B, I, H = 3, 2, 5, 4
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def network(path, kind, direction="forward", bias=True, states=False, peepholes=False, lengths="", **attrs):
    """One node with all its outputs. lengths: "known" or "computed": sequences of one and of all steps."""
    rng, ways = np.random.default_rng(0), 2 if direction == "bidirectional" else 1
    batch_first = attrs.get("layout", 0)
    rows = GATES[kind] * H
    arrays = (
        {"w": (ways, rows, I), "r": (ways, rows, H)}
        | ({"b": (ways, 2 * rows)} if bias else {})
        | ({"p": (ways, 3 * H)} if peepholes else {})
    )
    weights = [
        numpy_helper.from_array(rng.standard_normal(shape).astype("float32") * 0.5, name)
        for name, shape in arrays.items()
    ]
    inputs = {"x": [B, T, I] if batch_first else [T, B, I]}
    ends = np.array([1, T], "int32")
    names = ["x", "w", "r", "b" if bias else "", lengths]
    outputs = ["y", "y_h"] + ["y_c"] * (kind == "LSTM")
    if states:
        names += ["h0"] + ["c0"] * (kind == "LSTM")
        inputs |= {name: [B, ways, H] if batch_first else [ways, B, H] for name in names[5:]}
    if peepholes:
        names += [""] * (7 - len(names)) + ["p"]
    node = helper.make_node(kind, names, outputs, direction=direction, name="cell", **{"hidden_size": H} | attrs)
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in inputs.items()],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in outputs],
        weights + [numpy_helper.from_array(ends, lengths)] * (lengths == "known"),
    )
    if lengths == "computed":
        graph.input.append(helper.make_tensor_value_info(lengths, TensorProto.INT32, [B]))
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    feed = {name: np.random.default_rng(1).standard_normal(shape).astype("float32") for name, shape in inputs.items()}
    return feed | ({lengths: ends} if lengths == "computed" else {})


CASES = [
    ("LSTM", {}),
    ("LSTM", {"direction": "bidirectional", "states": True}),
    ("LSTM", {"direction": "reverse", "bias": False}),
    ("LSTM", {"peepholes": True}),
    ("LSTM", {"peepholes": True, "direction": "bidirectional", "states": True}),
    ("GRU", {"linear_before_reset": 1}),
    ("GRU", {"direction": "bidirectional", "linear_before_reset": 1, "states": True}),
    ("GRU", {"states": True}),
    ("RNN", {"direction": "bidirectional"}),
    ("RNN", {"bias": False}),
    ("RNN", {"activations": ["Relu"], "lengths": "known"}),
    ("LSTM", {"direction": "bidirectional", "lengths": "computed", "states": True}),
    ("LSTM", {"activations": ["HardSigmoid", "Relu", "Tanh"], "activation_alpha": [0.3], "peepholes": True}),
    ("GRU", {"direction": "reverse", "lengths": "known", "linear_before_reset": 1}),
    ("LSTM", {"clip": 0.3, "input_forget": 1, "peepholes": True, "direction": "bidirectional"}),
    ("GRU", {"clip": 0.3}),
    ("GRU", {"clip": 0.3, "linear_before_reset": 1}),
    ("RNN", {"clip": 0.3}),
    ("GRU", {"activations": ["Sigmoid", "Softsign"], "linear_before_reset": 1, "lengths": "computed"}),
]


@pytest.mark.parametrize("looped", [False, True], ids=["unrolled", "loop"])
@pytest.mark.parametrize("kind, options", CASES)
def test_recurrent_nodes(kind, options, looped, tmp_path, monkeypatch):
    monkeypatch.setattr(recurrent, "UNROLLED", T - looped)
    runtime = pytest.importorskip("onnxruntime")
    feed = network(tmp_path / "r.onnx", kind, **options)
    wanted = runtime.InferenceSession(str(tmp_path / "r.onnx"), providers=["CPUExecutionProvider"]).run(None, feed)
    model = load_onnx(tmp_path / "r.onnx")
    assert bool(loops_of(model.module)) == looped
    for actual, expected in zip(run(model.module, feed), wanted, strict=True):
        assert actual.shape == expected.shape
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "attrs, reason",
    [
        ({"clip": -3.0}, "clips its gates to -3; a bound is positive"),
        ({"activations": ["Sigmoid", "Affine", "Tanh"]}, "Affine"),
        ({"activations": ["Sigmoid", "Tanh"]}, "Sigmoid, Tanh;"),
        ({"direction": "sideways"}, "the direction 'sideways'"),
        ({"hidden_size": 0}, "hidden_size 0"),
        ({"hidden_size": 99}, "hidden_size 99"),
    ],
)
def test_what_cannot_be_unrolled_is_named(attrs, reason, tmp_path):
    network(tmp_path / "r.onnx", "LSTM", **attrs)
    with pytest.raises(UnsupportedModelError, match=reason) as caught:
        load_onnx(tmp_path / "r.onnx")
    assert "'cell'" in str(caught.value)


@pytest.mark.parametrize("looped", [False, True], ids=["unrolled", "loop"])
@pytest.mark.parametrize("kind, options", [("LSTM", {}), ("GRU", {"linear_before_reset": 1})])
def test_layers_are_exported_unrolled(kind, options, looped, tmp_path, monkeypatch):
    monkeypatch.setattr(recurrent, "UNROLLED", T - looped)
    runtime = pytest.importorskip("onnxruntime")
    from octet.passes.export.onnx_qdq import to_onnx

    feed = network(tmp_path / "r.onnx", kind, **options)
    model = load_onnx(tmp_path / "r.onnx")
    exported = to_onnx(model.module, tuple(spec.name for spec in model.outputs)).SerializeToString()
    results = runtime.InferenceSession(exported, providers=["CPUExecutionProvider"]).run(None, feed)
    for actual, expected in zip(results, run(model.module, feed), strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)
