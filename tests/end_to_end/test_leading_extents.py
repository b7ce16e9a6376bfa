"""A network whose inputs have different leading extents: one sample is one whole array of each."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import octet
from octet.targets.errors import DataError

SAMPLES = {"x": (16, 8), "table": (16, 5, 8)}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """softmax(x [1, 8] @ table [5, 8]^T) @ table -> [1, 8], then a linear layer."""
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("leading") / "lookup.onnx"
    nodes = [
        helper.make_node("Transpose", ["table"], ["columns"], perm=[1, 0]),
        helper.make_node("MatMul", ["x", "columns"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["weights"], axis=-1),
        helper.make_node("MatMul", ["weights", "table"], ["mixed"]),
        helper.make_node("MatMul", ["mixed", "w"], ["y"]),
    ]
    constants = [onnx.numpy_helper.from_array(rng.standard_normal((8, 4)).astype(np.float32), "w")]
    inputs = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 8]),
        helper.make_tensor_value_info("table", TensorProto.FLOAT, [5, 8]),
    ]
    graph = helper.make_graph(
        nodes, "lookup", inputs, [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 4])], constants
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return octet.load_onnx(path)


def samples(**changed):
    rng = np.random.default_rng(1)
    return {name: rng.standard_normal(changed.get(name, shape)).astype(np.float32) for name, shape in SAMPLES.items()}


def test_it_is_calibrated_and_runs(model):
    given = samples()
    session = octet.compile(octet.quantize(model, given)).session(1)
    from octet.passes.pipeline import canonicalize
    from octet.targets.batches import run_samples
    from octet.tools.building.sessions import float_session

    exact, found = (run_samples(s, given)["y"] for s in (float_session(canonicalize(model), 1), session))
    assert session.run_many(given)["y"].tobytes() == found.tobytes()
    assert found.shape == (16, 4) and np.abs(found - exact).max() < 0.1 * np.abs(exact).max()


def test_what_is_wanted_is_said(model):
    with pytest.raises(
        DataError,
        match=r"'table' has shape \[16, 8\], the model takes \[samples, 5, 8\], as the inputs' first extents differ",
    ):
        octet.quantize(model, samples(table=(16, 8)))
