"""Results that no kernel computes: inputs, constants, and one tensor under several names or shapes."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import octet
from octet.passes.export.onnx_qdq import export_qdq

RNG = np.random.default_rng(5)


def test_inputs_constants_and_repeated_results(tmp_path):
    weight, constant = (
        RNG.standard_normal((4, 3, 3, 3)).astype(np.float32),
        RNG.standard_normal((2, 5)).astype(np.float32),
    )
    nodes = [
        helper.make_node("Conv", ["x", "weight"], ["conv"]),
        helper.make_node("Identity", ["conv"], ["again"]),
        helper.make_node("Reshape", ["conv", "flat"], ["row"]),
        helper.make_node("Reshape", ["x", "flat"], ["pixels"]),
        helper.make_node("Identity", ["constant"], ["fixed"]),
    ]
    inputs = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 3, 6, 6)),
        helper.make_tensor_value_info("ids", TensorProto.INT64, (1, 3)),
    ]
    results = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
        for name in ("conv", "again", "row", "pixels", "fixed", "x")
    ]
    arrays = {"weight": weight, "constant": constant, "flat": np.array([1, -1])}
    graph = helper.make_graph(
        nodes, "results", inputs, [*results, inputs[1]], [numpy_helper.from_array(v, k) for k, v in arrays.items()]
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "results.onnx"
    )
    model = octet.load_onnx(tmp_path / "results.onnx")
    images = RNG.standard_normal((4, 3, 6, 6)).astype(np.float32)
    quantized = octet.quantize(model, {"x": images, "ids": np.zeros((4, 3), np.int64)})
    feed = {"x": images[:1], "ids": np.array([[7, -1, 2**40]])}
    got = octet.compile(quantized).session().run(feed)
    assert list(got) == ["conv", "again", "row", "pixels", "fixed", "x", "ids"]
    assert (got["again"] == got["conv"]).all() and (got["row"] == got["conv"].reshape(1, -1)).all()
    assert (got["pixels"] == images[:1].reshape(1, -1)).all() and (got["fixed"] == constant).all()
    assert (got["x"] == images[:1]).all() and (got["ids"] == feed["ids"]).all()
    export_qdq(quantized, tmp_path / "results.qdq.onnx")  # The exporter's checker refuses a name that is given twice.
