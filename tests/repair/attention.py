"""A small pre-norm transformer block as ONNX: queries, keys and values by one linear layer or by three."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

TOKENS, WIDTH, HEADS, HIDDEN, CLASSES = 6, 16, 2, 24, 5


class _Net:
    def __init__(self, seed, levels):
        self.levels = levels
        self.rng, self.nodes, self.constants = np.random.default_rng(seed), [], []

    def op(self, kind, *inputs, outputs=1, **attrs):
        names = [f"t{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, **attrs))
        return names[0] if outputs == 1 else names

    def const(self, value):
        self.constants.append(numpy_helper.from_array(np.asarray(value), f"c{len(self.constants)}"))
        return self.constants[-1].name

    def ints(self, *values):
        return self.const(np.array(values, np.int64))

    def normal(self, *shape, scale=1.0):
        return self.const((self.rng.standard_normal(shape) * scale).astype(np.float32))

    def linear(self, x, width, out):
        return self.op(
            "Add", self.op("MatMul", x, self.normal(width, out, scale=width**-0.5)), self.normal(out, scale=0.1)
        )

    def norm(self, x):
        gamma = self.rng.uniform(0.5, 2, WIDTH) * np.sqrt(np.mean(self.levels**2)) / self.levels
        return self.op(
            "LayerNormalization", x, self.const(gamma.astype(np.float32)), self.normal(WIDTH, scale=0.1), axis=-1
        )


def save(path, fused, seed=0, levels=(1.0,) * WIDTH):
    """levels: magnitudes of the channels of x, which the layer normalisations' factors even out."""
    net = _Net(seed, np.asarray(levels))
    y, size = net.norm("x"), WIDTH // HEADS
    if fused:
        heads = net.op("Reshape", net.linear(y, WIDTH, 3 * WIDTH), net.ints(1, TOKENS, 3, HEADS, size))
        parts = net.op("Split", net.op("Transpose", heads, perm=[2, 0, 3, 1, 4]), outputs=3, axis=0)
        q, k, v = (net.op("Squeeze", part, net.ints(0)) for part in parts)
        k = net.op("Transpose", k, perm=[0, 1, 3, 2])
    else:
        split = lambda: net.op("Reshape", net.linear(y, WIDTH, WIDTH), net.ints(1, TOKENS, HEADS, size))
        q, k, v = (net.op("Transpose", split(), perm=perm) for perm in ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3]))
    scores = net.op("Softmax", net.op("Mul", net.op("MatMul", q, k), net.const(np.float32(size**-0.5))), axis=-1)
    mixed = net.op(
        "Reshape", net.op("Transpose", net.op("MatMul", scores, v), perm=[0, 2, 1, 3]), net.ints(1, TOKENS, WIDTH)
    )
    x = net.op("Add", "x", net.linear(mixed, WIDTH, WIDTH))
    x = net.op("Add", x, net.linear(net.op("Relu", net.linear(net.norm(x), WIDTH, HIDDEN)), HIDDEN, WIDTH))
    pooled = net.op("ReduceMean", net.norm(x), axes=[1], keepdims=0)
    net.nodes.append(helper.make_node("Identity", [net.linear(pooled, WIDTH, CLASSES)], ["y"]))
    graph = helper.make_graph(
        net.nodes,
        "block",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, TOKENS, WIDTH])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, CLASSES])],
        net.constants,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path
