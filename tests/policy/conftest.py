"""A network of convolutions between softmaxes, and its hub."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from octet import api

CHANNELS, SIZE = 32, 8


def alternating(path, groups, layers=2):
    """softmax, convolution, softmax, convolution, ... softmax: every convolution is alone between float operators."""
    rng, nodes, constants, x = np.random.default_rng(0), [], [], "x"

    def constant(name, shape, scale):
        constants.append(numpy_helper.from_array((rng.standard_normal(shape) * scale).astype(np.float32), name))
        return name

    for i in range(layers):
        nodes.append(helper.make_node("Softmax", [x], [f"soft{i}"], axis=-1))
        weights = constant(f"w{i}", (CHANNELS, CHANNELS // groups, 3, 3), 0.3)
        nodes.append(
            helper.make_node(
                "Conv",
                [f"soft{i}", weights, constant(f"b{i}", (CHANNELS,), 0.1)],
                [f"conv{i}"],
                group=groups,
                pads=[1] * 4,
            )
        )
        x = f"conv{i}"
    nodes.append(helper.make_node("Softmax", [x], ["y"], axis=-1))
    shape = [1, CHANNELS, SIZE, SIZE]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in "xy"]
    graph = helper.make_graph(nodes, "alternating", ends[:1], ends[1:], constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
    return {"x": rng.standard_normal((8, *shape[1:])).astype(np.float32)}


def sequence(path):
    """Three convolutions in a row with a residual."""
    rng, nodes, constants = np.random.default_rng(0), [], []
    for i in range(3):
        constants.append(
            numpy_helper.from_array((rng.standard_normal((CHANNELS, CHANNELS, 1, 1)) * 0.2).astype(np.float32), f"w{i}")
        )
        nodes.append(helper.make_node("Conv", [("x", "conv0", "sum")[i], f"w{i}"], [f"conv{i}"]))
        if i == 1:
            nodes.append(helper.make_node("Add", ["conv1", "conv0"], ["added"]))
            nodes.append(helper.make_node("Relu", ["added"], ["sum"]))
    shape = [1, CHANNELS, SIZE, SIZE]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("x", "conv2")]
    graph = helper.make_graph(nodes, "sequence", ends[:1], ends[1:], constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
    return {"x": rng.standard_normal((8, *shape[1:])).astype(np.float32)}


@pytest.fixture(scope="session")
def quantize(tmp_path_factory):
    """quantize(make) -> Quantized of a network that make(path) writes."""

    def made(make):
        path = tmp_path_factory.mktemp("policy") / "net.onnx"
        samples = make(path)
        return api.quantize(api.load_onnx(path), samples, threads=1)

    return made
