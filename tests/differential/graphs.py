"""Small ONNX graphs, what they are worth by another implementation, and what Octet makes of them at every level that
this machine runs."""

import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

import octet
from octet.passes.export.evaluate import evaluate
from octet.passes.pipeline import canonicalize
from octet.passes.referee import reference
from octet.targets import detect
from octet.tools.building.sessions import float_session


def make(nodes, inputs, outputs, constants=(), opset=17):
    """A ModelProto. nodes: (operator, inputs, outputs, attributes) each, names separated by blanks. inputs: {name:
    array}, outputs: {name: dtype}."""
    made = [helper.make_node(kind, read.split(), written.split(), **attrs) for kind, read, written, attrs in nodes]
    ins = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in inputs.items()
    ]
    outs = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), None)
        for name, dtype in outputs.items()
    ]
    graph = helper.make_graph(
        made,
        "graph",
        ins,
        outs,
        [numpy_helper.from_array(np.asarray(value), name) for name, value in dict(constants).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def saved(proto, path):
    onnx.save(proto, path)
    return path


def imported(proto):
    """The canonical Model, through a file."""
    with tempfile.TemporaryDirectory() as folder:
        return canonicalize(octet.load_onnx(saved(proto, Path(folder) / "model.onnx")))


def answers(proto, inputs):
    """{output: array} by ONNX's own evaluator."""
    with np.errstate(all="ignore"):
        return dict(zip([value.name for value in proto.graph.output], ReferenceEvaluator(proto).run(None, inputs)))


def check(proto, inputs, want=None, rtol=0.0, atol=0.0, levels=True):
    """Asserts that the referee, and the float network at every level of this machine (levels: at all, not the best
    only), give `want`: {output: array}, by default what ONNX's own evaluator says. Exactly, or within a tolerance; NaN
    equals NaN. Returns the canonical Model."""
    model = imported(proto)
    want = answers(proto, inputs) if want is None else want
    _compare(
        "the referee",
        dict(zip([spec.name for spec in model.outputs], reference.run(model.module, inputs, evaluate))),
        want,
        rtol,
        atol,
    )
    for spec in detect.runnable() if levels else [detect.native()]:
        _compare(spec.name, float_session(model, 1, spec.name).run(inputs), want, rtol, atol)
    return model


def _compare(who, got, want, rtol, atol):
    assert list(got) == list(want), who
    for name, wanted in want.items():
        wanted = np.asarray(wanted)
        assert got[name].shape == wanted.shape and got[name].dtype == wanted.dtype, (
            f"{who}, {name}: {got[name].dtype}{got[name].shape}, not {wanted.dtype}{wanted.shape}"
        )
        np.testing.assert_allclose(got[name], wanted, rtol=rtol, atol=atol, equal_nan=True, err_msg=f"{who}, {name}")
