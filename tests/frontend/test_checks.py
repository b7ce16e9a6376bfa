"""What cannot be imported: one line with the file, the node or tensor, and what to do."""

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from octet.passes.frontend.onnx import load_onnx
from octet.targets.errors import UnsupportedModelError


def rand(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype("float32")


def node(operator, inputs=("x",), outputs=("y",), **attributes):
    return helper.make_node(operator, list(inputs), list(outputs), name="the_node", **attributes)


X = {"x": rand(1, 4, 6, 6)}


@pytest.fixture
def refused(load):
    """refused(proto, *said, **options): load_onnx raises one line that says all of `said` and the file."""

    def check(proto, *said, **options):
        with pytest.raises(UnsupportedModelError) as raised:
            load(proto, **options)
        message = str(raised.value)
        assert "\n" not in message and "model.onnx: " in message
        for part in said:
            assert part in message, message

    return check


def test_places_without_an_answer(model, load, refused):
    """Where may fill them with NaN; what a layer adds may not be NaN."""
    nodes, mask = [node("Where", ["m", "x", "fill"])], np.ones((1, 4, 6, 6), bool)
    fill = {"fill": np.full((1, 4, 6, 6), np.nan, "float32")}
    load(model(nodes, X | {"m": mask}, fill))
    refused(model([node("Add", ["x", "fill"])], X, fill), "weight 'fill' holds NaN")


@pytest.mark.parametrize(
    "bad, said",
    [
        (node("Frobnicate", domain="com.example"), ("'the_node'", "com.example")),
        (node("Det"), ("Det", "'the_node'")),
        (node("Loop"), ("Loop",)),
        (node("QAttention", domain="com.microsoft"), ("quantised operator that is not known",)),
        (node("Unique"), ("'the_node'",)),
        (node("BatchNormalization", ["x", "v", "v", "v", "v"], training_mode=1), ("'the_node'", "training")),
        (node("Conv", ["x", "w3"]), ("'the_node'", "cannot be imported")),
        (node("Reshape", ["x", "i"]), ("'the_node'",)),
    ],
    ids=lambda value: value.op_type if isinstance(value, onnx.NodeProto) else "",
)
def test_nodes(model, refused, bad, said):
    constants = {"s": np.float32(1), "v": rand(4), "w3": rand(4, 5, 3, 3)}
    inputs = X | ({"i": np.array([1, -1])} if "i" in bad.input else {})
    proto = model([bad], inputs, constants)
    if bad.domain:
        proto.opset_import.append(helper.make_opsetid(bad.domain, 1))
    refused(proto, *said)


@pytest.mark.parametrize(
    "shape, said",
    [
        (("N", 4, "H", 6), ("'x'", "'H' at axis 2", "--dim H=224")),
        ((1, 4, 6, -1), ("'x'", "axis 3", "--shape x=1x4x6x224")),
    ],
)
def test_dynamic_shapes(model, refused, shape, said):
    refused(model([node("Relu")], X, shapes={"x": shape}), *said)


def test_a_graph_without_outputs(model, refused):
    proto = model([node("Relu")], X)
    del proto.graph.output[:]
    refused(proto, "no outputs")


def test_a_graph_without_inputs(model, refused):
    refused(model([node("Relu", ["c"])], {}, {"c": rand(3)}), "no inputs")


def test_an_opset_of_the_future(model, refused):
    opset = onnx.defs.onnx_opset_version() + 1
    refused(model([node("Relu")], X, opset=opset), f"opset {opset}", "newer")


def test_a_batch_that_is_not_positive(model, refused):
    refused(model([node("Relu")], X), "batch 0", batch=0)
    refused(model([node("Relu")], X), "batch four", batch="four")


def test_an_undefined_tensor(model, refused):
    refused(model([node("Add", ["x", "nowhere"])], X), "nowhere")


def test_sparse_weights(model, refused):
    proto = model([node("Relu")], X)
    values, indices = numpy_helper.from_array(rand(2), "sparse_weight"), numpy_helper.from_array(np.array([0, 3]), "at")
    proto.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [4]))
    refused(proto, "sparse_weight")


@pytest.mark.parametrize("content", [b"", b"not a network\n" * 50, b"\x08\x08"], ids=["empty", "text", "no graph"])
def test_files_that_are_not_onnx(tmp_path, content):
    (tmp_path / "model.onnx").write_bytes(content)
    with pytest.raises(UnsupportedModelError, match="model.onnx"):
        load_onnx(tmp_path / "model.onnx")


def test_paths(tmp_path):
    with pytest.raises(UnsupportedModelError, match="no such file"):
        load_onnx(tmp_path / "none.onnx")
    with pytest.raises(UnsupportedModelError, match="is a folder"):
        load_onnx(tmp_path)


def test_truncated(model, tmp_path):
    data = model([node("Add", ["x", "c"])], X, {"c": rand(4, 6, 6)}).SerializeToString()
    for kept in (0.2, 0.6, 0.97):
        (tmp_path / "model.onnx").write_bytes(data[: int(kept * len(data))])
        with pytest.raises(UnsupportedModelError, match="model.onnx"):
            load_onnx(tmp_path / "model.onnx")


def test_missing_external_data(model, tmp_path):
    proto = model([node("Add", ["x", "c"])], X, {"c": rand(4, 6, 6)})
    onnx.save(proto, tmp_path / "model.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(UnsupportedModelError, match="'weights.bin' is missing"):
        load_onnx(tmp_path / "model.onnx")


def test_a_zero_that_the_writer_left_out(model, load):
    """As protobuf 3 writes it: axis 0 of a Concat has a type and no value."""
    proto = model([onnx.helper.make_node("Concat", ["x", "x"], ["y"], axis=0)], {"x": np.zeros((2, 3), np.float32)})
    proto.graph.node[0].attribute[0].ClearField("i")
    assert not proto.graph.node[0].attribute[0].HasField("i")
    assert load(proto).outputs[0].shape == (4, 3)
