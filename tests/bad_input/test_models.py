"""Models that cannot be compiled: one line, exit status 2, no file."""

import numpy as np
import onnx
import pytest


def test_no_file(folder):
    folder.refused(folder.compile(model=folder.model + "x"), "tiny.onnxx")


def test_a_folder(folder):
    folder.refused(folder.compile(model=str(folder.path)), str(folder.path))


@pytest.mark.parametrize("content", [b"", b"hello, world\n" * 100, b"\x08\x08\x12\x07pytorch"], ids=["empty", "text", "no graph"])
def test_not_onnx(folder, content):
    with open(folder.model, "wb") as file:
        file.write(content)
    folder.refused(folder.compile(), "tiny.onnx")


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.95])
def test_truncated(folder, kept):
    with open(folder.model, "rb") as file:
        data = file.read()
    with open(folder.model, "wb") as file:
        file.write(data[: int(kept * len(data))])
    folder.refused(folder.compile(), "tiny.onnx")


def test_unknown_operator(folder):
    folder.save_network(operator="Frobnicate", domain="com.example")
    folder.refused(folder.compile(), "the_operator", "Frobnicate")


def test_operator_that_tvm_has_not(folder):
    folder.save_network(operator="Det")
    folder.refused(folder.compile(), "the_operator", "Det")


def test_operator_without_a_kernel(folder):
    model = onnx.load(folder.model)
    result = model.graph.output[0].name
    model.graph.node.append(onnx.helper.make_node("Bernoulli", [result], ["drawn"], name="the_draw"))
    model.graph.output[0].name = "drawn"
    onnx.save(model, folder.model)
    folder.refused(folder.compile(), "the_draw", "Bernoulli")


def test_dynamic_shapes(folder):
    folder.save_network(shape=("N", 3, "H", "W"))
    folder.refused(folder.compile(), "image", "H")


def test_not_fp32(folder):
    model = onnx.load(folder.model)
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT16
    onnx.save(model, folder.model)
    folder.refused(folder.compile(), "tiny.onnx")


def test_old_opset(folder):
    model = onnx.load(folder.model)
    model.opset_import[0].version = 7
    onnx.save(model, folder.model)
    folder.refused(folder.compile(), "opset", "7")


def test_missing_external_data(folder):
    model = onnx.load(folder.model)
    onnx.save(model, folder.model, save_as_external_data=True, location="weights.bin", size_threshold=0)
    (folder.path / "weights.bin").unlink()
    folder.refused(folder.compile(), "weights.bin")


def test_weights_with_nan(folder):
    model = onnx.load(folder.model)
    weight = onnx.numpy_helper.to_array(model.graph.initializer[0]).copy()
    weight[0, 0, 0, 0] = np.nan
    model.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(weight, "weight"))
    onnx.save(model, folder.model)
    folder.refused(folder.compile(), "NaN")


def test_shapes_that_contradict_each_other(folder):
    folder.save_network(shape=("N", 5, 8, 8))
    np.savez(folder.calib, image=np.zeros((2, 5, 8, 8), np.float32))
    folder.refused(folder.compile(), "the_conv")


@pytest.mark.parametrize("command", [["evaluate", "--data"], ["bench", "--calib"]])
def test_other_commands_name_the_file_too(folder, command):
    folder.refused([command[0], folder.model + "x.onnx", command[1], folder.calib], "tiny.onnxx.onnx")
    (folder.path / "model.txt").write_text("x")
    folder.refused([command[0], folder.path / "model.txt", command[1], folder.calib], "neither .onnx nor .octet")


def test_quantize(folder):
    folder.refused(["quantize", folder.model + "x", "--calib", folder.calib, "-o", folder.output], "tiny.onnxx")
