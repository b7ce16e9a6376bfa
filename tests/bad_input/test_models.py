"""Models that cannot be compiled: one line, exit status 2, no file."""

import os
from pathlib import Path

import numpy as np
import onnx
import pytest

from octet.passes.frontend.onnx import load_onnx
from octet.passes.frontend.read import read_proto
from octet.targets.errors import OctetError

from .wrong_graphs import WRONG
from .wrong_models import save


def test_no_file(folder):
    folder.refused(folder.compile(model=folder.model + "x"), "tiny.onnxx")


def test_a_folder(folder):
    folder.refused(folder.compile(model=str(folder.path)), str(folder.path))


@pytest.mark.parametrize(
    "content", [b"", b"hello, world\n" * 100, b"\x08\x08\x12\x07pytorch"], ids=["empty", "text", "no graph"]
)
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


def test_an_extent_below_nothing(folder):
    """0 and -1 are how some exporters write an unknown extent; samples say what it is."""
    folder.save_network(shape=("N", 3, -8, 8))
    folder.refused(folder.compile(), "tiny.onnx", "extents")


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
    folder.refused(["quantize", folder.model, "-o", folder.output], "--calib DATA.npz", "not quantised yet")


@pytest.mark.parametrize("name", WRONG)
def test_the_catalogue_of_wrong_models(folder, name):
    """One line that names the file. Every tenth goes through the command, whose status and files are judged too."""
    model = onnx.load(folder.model)
    WRONG[name](model, folder.path)
    save(model, Path(folder.model))
    if list(WRONG).index(name) % 10 == 0:
        folder.refused(folder.compile(), "tiny.onnx")
        return
    with pytest.raises(OctetError) as caught:
        load_onnx(folder.model)
    assert "tiny.onnx" in str(caught.value) and "\n" not in str(caught.value).strip(), str(caught.value)


def test_the_catalogue_is_large():
    assert len(WRONG) >= 200


@pytest.mark.parametrize("place", ["initializer", "attribute"])
def test_the_digest_is_of_all_external_data(folder, place):
    """Other weights are another model, wherever they lie."""
    model = onnx.load(folder.model)
    data, tensor = model.graph.initializer[0].raw_data, model.graph.initializer[0]
    if place == "attribute":
        model.graph.node.insert(
            0, onnx.helper.make_node("Constant", [], ["weight"], value=onnx.TensorProto(data_type=1, dims=tensor.dims))
        )
        del model.graph.initializer[:]
        tensor = model.graph.node[0].attribute[0].t
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", "sub/weights.bin"), ("offset", "64"), ("length", str(len(data)))):
        tensor.external_data.add(key=key, value=value)
    save(model, Path(folder.model))
    (folder.path / "sub").mkdir()
    digests = []
    for first in (b"a", b"b", b"a"):
        (folder.path / "sub" / "weights.bin").write_bytes(bytes(64) + data[:-1] + first)
        digests.append(read_proto(folder.model)[1])
    assert digests[0] == digests[2] != digests[1]


def test_an_onnx_file_that_is_a_pipe_or_a_device(folder):
    os.mkfifo(folder.path / "pipe.onnx")
    for path in (folder.path / "pipe.onnx", "/dev/zero"):
        with pytest.raises(OctetError, match="is no file"):
            load_onnx(path)


def test_nodes_that_nothing_reads_cost_nothing(folder):
    """Not one of 20,000 is imported, whatever operator it is."""
    model = onnx.load(folder.model)
    nodes = len(load_onnx(folder.model).module["main"].body.blocks[0].bindings)
    for i in range(20_000):
        model.graph.node.append(
            onnx.helper.make_node("Det" if i % 2 else "Relu", ["act"], [f"dead{i}"], name=f"dead{i}")
        )
    save(model, Path(folder.model))
    assert len(load_onnx(folder.model).module["main"].body.blocks[0].bindings) == nodes
