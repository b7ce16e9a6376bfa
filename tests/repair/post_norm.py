"""The feed-forward half of a post-norm transformer block as ONNX: norm, linear, GELU, linear, sum, norm, a classifier.
The first norm is read by the sum as well."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from octet.passes.frontend.onnx import load_onnx
from octet.passes.pipeline import canonicalize

TOKENS, WIDTH, HIDDEN, CLASSES = 6, 16, 32, 5


def load(path, levels, peak=0.0, seed=0):
    """The canonical model. levels: factors of the first norm's channels, which the layer that reads them divides out.
    peak: of one channel in front of GELU, likewise."""
    rng = np.random.default_rng(seed)

    def normal(*shape):
        return (rng.standard_normal(shape) / np.sqrt(shape[0])).astype(np.float32)

    constants = {
        "gamma": levels.astype(np.float32),
        "beta": np.zeros(WIDTH, np.float32),
        "w1": normal(WIDTH, HIDDEN) / levels[:, None].astype(np.float32),
        "b1": normal(HIDDEN),
        "w2": normal(HIDDEN, WIDTH),
        "b2": normal(WIDTH),
        "ones": np.ones(WIDTH, np.float32),
        "w3": normal(WIDTH, CLASSES),
        "b3": normal(CLASSES),
    }
    if peak:
        constants["b1"][5], constants["w2"][5] = peak, constants["w2"][5] / peak
    node = helper.make_node
    nodes = [
        node("LayerNormalization", ["x", "gamma", "beta"], ["norm"], axis=-1),
        node("MatMul", ["norm", "w1"], ["m1"]),
        node("Add", ["m1", "b1"], ["h"]),
        node("Gelu", ["h"], ["gelu"]),
        node("MatMul", ["gelu", "w2"], ["m2"]),
        node("Add", ["m2", "b2"], ["f"]),
        node("Add", ["f", "norm"], ["sum"]),
        node("LayerNormalization", ["sum", "ones", "beta"], ["last"], axis=-1),
        node("MatMul", ["last", "w3"], ["m3"]),
        node("Add", ["m3", "b3"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "block",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, TOKENS, WIDTH])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, TOKENS, CLASSES])],
        [numpy_helper.from_array(np.ascontiguousarray(a, np.float32), n) for n, a in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9), path)
    return canonicalize(load_onnx(path))
