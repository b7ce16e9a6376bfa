"""Networks with a scalar among their inputs and their outputs: one value per sample in the data."""

import json

import numpy as np
import onnx
from click.testing import CliRunner
from onnx import TensorProto, helper

from octet.tools.main import main


def test_a_network_is_compiled_and_judged(tmp_path):
    """y = Relu(x w) * rate, and the sum of y."""
    rng = np.random.default_rng(0)
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["product"]),
        helper.make_node("Relu", ["product"], ["positive"]),
        helper.make_node("Mul", ["positive", "rate"], ["y"]),
        helper.make_node("ReduceSum", ["y"], ["total"], keepdims=0),
    ]
    inputs = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 8]),
        helper.make_tensor_value_info("rate", TensorProto.FLOAT, []),
    ]
    outputs = [
        helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 6]),
        helper.make_tensor_value_info("total", TensorProto.FLOAT, []),
    ]
    weight = onnx.numpy_helper.from_array(rng.standard_normal((8, 6)).astype(np.float32), "w")
    graph = helper.make_graph(nodes, "scalars", inputs, outputs, [weight])
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "scalars.onnx"
    )
    np.savez(
        tmp_path / "calib.npz",
        x=rng.standard_normal((40, 8)).astype(np.float32),
        rate=rng.uniform(1, 2, 40).astype(np.float32),
    )
    paths = [str(tmp_path / name) for name in ("scalars.onnx", "calib.npz", "scalars.octet", "figures.json")]
    done = CliRunner().invoke(main, ["compile", paths[0], "--calib", paths[1], "-o", paths[2], "--json", paths[3]])
    assert done.exit_code == 0, done.output
    agreement = json.loads((tmp_path / "figures.json").read_text())["agreement"]
    assert set(agreement["outputs"]) == {"y", "total"} and agreement["sqnr_db"] > 20
