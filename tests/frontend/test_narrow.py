"""Weights of 4 bits: read as what they stand for, wherever they lie in the file."""

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.external_data_helper import convert_model_to_external_data
from onnx_nodes import node

from octet.passes.frontend.onnx import load_onnx
from octet.targets.errors import UnsupportedModelError
from octet.tools.building.sessions import float_session

RNG = np.random.default_rng(0)
X = RNG.standard_normal((2, 70)).astype("float32")
DEPTH, COLUMNS, BLOCK = 70, 5, 32
BLOCKS = -(-DEPTH // BLOCK)
SCALES = RNG.uniform(0.01, 0.1, (BLOCKS, COLUMNS)).astype("float32")


def written(folder, nodes, constants, external=False):
    graph = helper.make_graph(
        nodes,
        "narrow",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, X.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, COLUMNS])],
        constants,
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)], ir_version=10
    )
    if external:
        convert_model_to_external_data(model, location="weights", size_threshold=0)
    onnx.save(model, folder / "m.onnx")
    return folder / "m.onnx"


def answer(path):
    model = load_onnx(path, batch=2)
    assert any("4 bits" in note for note in model.notes)
    return float_session(model, 1).run({"x": X})["y"]


@pytest.mark.parametrize("form", ["raw", "values", "external"])
@pytest.mark.parametrize("data_type", [TensorProto.INT4, TensorProto.UINT4])
def test_blocks_of_dequantize_linear(tmp_path, form, data_type):
    dtype = ml_dtypes.int4 if data_type == TensorProto.INT4 else ml_dtypes.uint4
    low, high = (-8, 8) if data_type == TensorProto.INT4 else (0, 16)
    steps, zeros = RNG.integers(low, high, (DEPTH, COLUMNS)), RNG.integers(low, high, SCALES.shape)
    weight, zero = numpy_helper.from_array(steps.astype(dtype), "w"), numpy_helper.from_array(zeros.astype(dtype), "z")
    if form == "values":
        weight = helper.make_tensor("w", data_type, steps.shape, steps.reshape(-1))
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "s", "z"], ["d"], axis=0, block_size=BLOCK),
        helper.make_node("MatMul", ["x", "d"], ["y"]),
    ]
    path = written(tmp_path, nodes, [weight, numpy_helper.from_array(SCALES, "s"), zero], form == "external")
    whole = lambda blocks: np.repeat(blocks, BLOCK, 0)[:DEPTH]
    np.testing.assert_allclose(answer(path), X @ ((steps - whole(zeros)) * whole(SCALES)), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("zeros", ["none", "packed", "float"])
def test_the_product_of_onnx_runtime(tmp_path, zeros):
    steps, points = RNG.integers(0, 16, (COLUMNS, BLOCKS * BLOCK)), RNG.integers(0, 16, (COLUMNS, BLOCKS + BLOCKS % 2))
    pack = lambda values: (values[:, ::2] | values[:, 1::2] << 4).astype("uint8")
    constants = [
        numpy_helper.from_array(pack(steps).reshape(COLUMNS, BLOCKS, -1), "w"),
        numpy_helper.from_array(SCALES.T.reshape(-1), "s"),
        numpy_helper.from_array(
            pack(points).reshape(-1) if zeros == "packed" else points[:, :BLOCKS].reshape(-1).astype("float32"), "z"
        ),
    ]
    operands = ["x", "w", "s"] + ["z"] * (zeros != "none")
    node = helper.make_node(
        "MatMulNBits", operands, ["y"], domain="com.microsoft", K=DEPTH, N=COLUMNS, bits=4, block_size=BLOCK
    )
    point = np.full_like(points, 8) if zeros == "none" else points
    real = (steps - np.repeat(point, BLOCK, 1)[:, : steps.shape[1]]) * np.repeat(SCALES.T, BLOCK, 1)
    path = written(tmp_path, [node], constants[: len(operands) - 1])
    np.testing.assert_allclose(answer(path), X @ real[:, :DEPTH].T, rtol=1e-5, atol=1e-5)


def test_two_bits_are_refused_by_name(tmp_path):
    node = helper.make_node(
        "MatMulNBits", ["x", "w", "s"], ["y"], domain="com.microsoft", K=DEPTH, N=COLUMNS, bits=2, block_size=BLOCK
    )
    constants = [
        numpy_helper.from_array(np.zeros((COLUMNS, BLOCKS, 8), "uint8"), "w"),
        numpy_helper.from_array(SCALES.reshape(-1), "s"),
    ]
    with pytest.raises(UnsupportedModelError, match="weights of 2 bits"):
        load_onnx(written(tmp_path, [node], constants), batch=2)


def test_as_many_scales_as_blocks(model, load):
    constants = {"w": np.ones((6, 3), "int8"), "s": np.ones((2, 3), "float32")}
    nodes = [node("DequantizeLinear", ["w", "s"], ["d"], axis=0, block_size=2), node("MatMul", ["x", "d"])]
    said = r"has scales \[2, 3\] for blocks of 2 of \[6, 3\], not \[3, 3\]"
    with pytest.raises(UnsupportedModelError, match=said):
        load(model(nodes, {"x": np.ones((1, 6), "float32")}, constants, opset=21))
