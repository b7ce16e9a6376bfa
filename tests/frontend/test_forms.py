"""Forms of file that are not fp32, sorted and recent: old opsets, other floats, unsorted nodes, weights in other files,
constants that are inputs."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_nodes import node

from octet.passes.frontend.onnx import load_onnx
from octet.targets.errors import UnsupportedModelError


def rand(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype("float32")


X = {"x": rand(1, 4, 6, 6)}


@pytest.mark.parametrize("opset", [7, 8, 9, 10])
def test_old_opsets(model, agrees, opset):
    nodes = [
        node("Conv", ["x", "w", "b"], ["c"], kernel_shape=[3, 3]),
        node("Clip", ["c"], ["l"], min=-0.5, max=0.5),
        node("Dropout", ["l"], ["d", "mask"]),
        node("Relu", ["d"]),
    ]
    proto = model(nodes, X, {"w": rand(5, 4, 3, 3), "b": rand(5)}, opset=opset)
    recent = model(
        [nodes[0], node("Clip", ["c", "low", "high"], ["l"]), node("Relu", ["l"])],
        X,
        {"w": rand(5, 4, 3, 3), "b": rand(5), "low": np.float32(-0.5), "high": np.float32(0.5)},
        opset=11,
    )
    want = onnx.reference.ReferenceEvaluator(recent).run(None, X)
    assert f"opset {opset} was converted to 11" in agrees(proto, X, want).notes


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
@pytest.mark.parametrize("outside", [True, False], ids=["inputs too", "between casts"])
def test_other_floats_are_computed_in_float32(model, agrees, dtype, outside):
    kind = {"float16": TensorProto.FLOAT16, "bfloat16": TensorProto.BFLOAT16, "float64": TensorProto.DOUBLE}[dtype]
    w = rand(5, 4, 1, 1)
    core = [node("Conv", ["h", "w"], ["c"]), node("Add", ["c", "half"], ["z"])]
    cast = [node("Cast", ["x"], ["h"], to=kind)]
    proto = model(
        (cast + core + [node("Cast", ["z"], ["y"], to=TensorProto.FLOAT)])
        if not outside
        else [node("Identity", ["x"], ["h"]), *core, node("Identity", ["z"])],
        X,
    )
    half = (
        helper.make_tensor("half", kind, [5, 1, 1], np.full(5, 0.5))
        if dtype != "bfloat16"
        else helper.make_tensor("half", kind, [5, 1, 1], [0.5] * 5)
    )
    proto.graph.initializer.extend([helper.make_tensor("w", kind, w.shape, w.reshape(-1).tolist()), half])
    if outside:
        proto.graph.input[0].type.tensor_type.elem_type = proto.graph.output[0].type.tensor_type.elem_type = kind
    weights = numpy_helper.to_array(proto.graph.initializer[0]).astype("float32")
    want = np.einsum("oc,nchw->nohw", weights[:, :, 0, 0], X["x"]) + 0.5
    found = agrees(proto, X, [want])
    assert (
        f"computed in float32 where the file says {dtype}" in found.notes
        and found.inputs[0].dtype == found.outputs[0].dtype == "float32"
    )


def test_shapes_are_computed_in_the_files_own_type(model, load):
    """floor(2.9999999 * 5) is 14 in float64 and 15 in float32."""
    nodes = [
        node("Mul", ["five", "scale"], ["m"]),
        node("Floor", ["m"], ["f"]),
        node("Cast", ["f"], ["i"], to=TensorProto.INT64),
        node("Expand", ["x", "i"]),
    ]
    proto = model(nodes, {"x": rand(1, 1)}, {"five": np.array([1.0, 5.0]), "scale": np.array([1.0, 2.99999999])})
    assert load(proto).outputs[0].shape == (1, 14)


def test_unsorted_nodes(model, agrees):
    nodes = [node("Relu", ["b"]), node("Add", ["a", "x"], ["b"]), node("Abs", ["x"], ["a"])]
    agrees(model(nodes, X), X, [np.maximum(np.abs(X["x"]) + X["x"], 0)])


def test_nodes_in_a_circle(model, load):
    with pytest.raises(UnsupportedModelError, match="depend on its own results"):
        load(model([node("Relu", ["b"], ["a"]), node("Relu", ["a"], ["b"]), node("Relu")], X))


def test_results_that_nobody_reads(model, agrees):
    nodes = [
        node("MaxPool", ["x"], ["m", "indices"], kernel_shape=[2, 2]),
        node("LayerNormalization", ["m", "s", "s"], ["n", "mean", "deviation"]),
        node("Dropout", ["n"], ["y", "mask"]),
    ]
    proto = model(nodes, X, {"s": rand(5)})
    agrees(proto, X)


def test_parts_that_nobody_reads_are_parts(model, agrees):
    agrees(model([node("Split", ["x"], ["y", "rest"], axis=1)], X, opset=13), X, [X["x"][:, :2]])


def test_a_mask_that_is_read(model, agrees):
    agrees(
        model(
            [node("Dropout", ["x"], ["d", "mask"]), node("Where", ["mask", "d", "zero"])], X, {"zero": np.float32(0)}
        ),
        X,
        [X["x"]],
    )


def test_a_constant_that_is_an_input(model, agrees):
    """As IR version 3 wants it: every initializer is an input too, with the initializer as its default."""
    proto = model([node("Add", ["x", "c"])], X, {"c": rand(4, 1, 1)})
    proto.graph.input.append(helper.make_tensor_value_info("c", 1, [4, 1, 1]))
    assert [spec.name for spec in agrees(proto, X).inputs] == ["x"]


def test_weights_beside_the_file(model, tmp_path):
    """They are mapped, and the digest is of both files."""
    proto = model([node("Conv", ["x", "w"])], X, {"w": rand(5, 4, 3, 3)})
    onnx.save(proto, tmp_path / "inside.onnx")
    onnx.save(proto, tmp_path / "model.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
    found, same = load_onnx(tmp_path / "model.onnx"), load_onnx(tmp_path / "inside.onnx")
    from octet.passes.referee import reference

    assert reference.run(found.module, X)[0].tobytes() == reference.run(same.module, X)[0].tobytes()
    (tmp_path / "weights.bin").write_bytes((tmp_path / "weights.bin").read_bytes()[:-4] + b"\0\0\0\0")
    assert load_onnx(tmp_path / "model.onnx").sha256 != found.sha256
    (tmp_path / "weights.bin").write_bytes(b"")
    with pytest.raises(UnsupportedModelError, match="weight 'w' ends at"):
        load_onnx(tmp_path / "model.onnx")


def test_an_infinite_bound(model, agrees):
    agrees(model([node("Clip", ["x", "low", "high"])], X, {"low": np.float32(0.1), "high": np.float32(np.inf)}), X)
    agrees(model([node("Min", ["x", "high"])], X, {"high": np.float32(np.inf)}), X)


def test_a_function_of_a_scalar(model, agrees):
    proto = model(
        [node("ReduceMean", ["x"], ["m"], keepdims=0), node("Sigmoid", ["m"], ["s"]), node("Mul", ["s", "x"])], X
    )
    agrees(proto, X)


def test_a_scalar_input(model, agrees):
    inputs = X | {"rate": np.float32(3)}
    agrees(model([node("Mul", ["x", "rate"])], inputs), inputs)


def test_bounds_that_are_known_at_run_time_only(agrees, model):
    """Log-mel front ends cut 80 dB below their greatest value."""
    nodes = [
        node("ReduceMax", ["x"], ["most"], keepdims=0),
        node("Sub", ["most", "span"], ["low"]),
        node("Clip", ["x", "low", "high"]),
    ]
    agrees(model(nodes, X, {"span": np.float32(0.5), "high": np.float32(np.inf)}), X)
    agrees(model([*nodes[:2], node("Clip", ["x", "", "low"])], X, {"span": np.float32(0.5)}), X)


def test_the_axis_of_known_sums_may_be_a_vector(model, agrees):
    proto = model(
        [node("CumSum", ["c", "axis"], ["sums"]), node("Mul", ["x", "sums"])], X, {"c": rand(6), "axis": np.array([0])}
    )
    agrees(proto, X, [X["x"] * rand(6).cumsum(dtype="float32")])


def test_the_depth_of_a_known_one_hot_may_be_a_vector(model, agrees):
    nodes = [
        node("OneHot", ["places", "depth", "values"], ["hot"]),
        node("MatMul", ["x", "hot"], ["y"]),
    ]
    places, values = np.array([0, 2, 1, 0, 2, 2]), np.array([0, 1], "float32")
    proto = model(nodes, X, {"places": places, "depth": np.array([3]), "values": values})
    agrees(proto, X, [X["x"] @ np.eye(3, dtype="float32")[places]])


@pytest.mark.parametrize("kind", ["RandomNormalLike", "Bernoulli"])
def test_what_draws_is_refused_as_such(model, load, kind):
    proto = model([node(kind, ["x"], ["noise"], name="draw"), node("Add", ["x", "noise"], ["y"])], X, opset=15)
    with pytest.raises(UnsupportedModelError, match="draw.*draws random numbers.*as an input"):
        load(proto)


def test_the_other_name_of_the_domain_of_onnx(model, agrees):
    proto = model([node("Relu", domain="ai.onnx")], X)
    agrees(proto, X, [np.maximum(X["x"], 0)])


def test_a_sparse_constant_is_refused_by_its_node(model, load):
    values = helper.make_tensor("v", TensorProto.FLOAT, [1], [2.0])
    sparse = helper.make_sparse_tensor(values, helper.make_tensor("i", TensorProto.INT64, [1], [3]), [6])
    proto = model([node("Constant", [], ["c"], sparse_value=sparse), node("Add", ["x", "c"])], X)
    with pytest.raises(UnsupportedModelError, match="Constant node 'c' is sparse; export it as a dense tensor"):
        load(proto)
