"""Builds ONNX graphs of well-known architectures with seeded random weights. Pure onnx.helper; used by the tests
(small) and by build.py (full size)."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


class Graph:
    """Nodes and weights of one network; methods return the name of the value they add."""

    def __init__(self, seed=0, opset=17):
        self.rng = np.random.default_rng(seed)
        self.nodes, self.weights, self.opset = [], [], opset

    def const(self, array):
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.array(array), name))
        return name

    def ints(self, *values):
        return self.const(np.array(values, "int64"))

    def scalar(self, value):
        return self.const(np.array(value, "float32"))

    def normal(self, shape, scale):
        return self.const((self.rng.standard_normal(shape) * scale).astype("float32"))

    def op(self, kind, *inputs, outputs=1, **attrs):
        names = [f"{kind.lower()}{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, name=f"n{len(self.nodes)}", **attrs))
        return names[0] if outputs == 1 else names

    def conv(self, x, inputs, outputs, kernel=1, stride=1, groups=1, act=None, pad=None):
        """Convolution, BatchNormalization, activation. kernel, pad: a number or (height, width)."""
        kh, kw = (kernel, kernel) if isinstance(kernel, int) else kernel
        ph, pw = ((kh - 1) // 2, (kw - 1) // 2) if pad is None else (pad, pad) if isinstance(pad, int) else pad
        weight = self.normal((outputs, inputs // groups, kh, kw), np.sqrt(2.0 / (inputs // groups * kh * kw)))
        y = self.op("Conv", x, weight, kernel_shape=[kh, kw], strides=[stride] * 2, pads=[ph, pw, ph, pw], group=groups)
        return self.act(self.norm(y, outputs), act)

    def norm(self, x, channels):
        values = [
            1 + 0.1 * self.rng.standard_normal(channels),
            0.1 * self.rng.standard_normal(channels),
            0.1 * self.rng.standard_normal(channels),
        ]
        values.append(1 + 0.1 * self.rng.random(channels))
        return self.op("BatchNormalization", x, *(self.const(v.astype("float32")) for v in values), epsilon=1e-5)

    def act(self, x, kind):
        if kind is None:
            return x
        if kind == "silu":
            return self.op("Mul", x, self.op("Sigmoid", x))
        if kind == "relu6":
            return self.op("Clip", x, self.scalar(0), self.scalar(6))
        return self.op({"relu": "Relu", "hardswish": "HardSwish"}[kind], x)

    def squeeze(self, x, channels, inner, act, gate):
        """Squeeze-and-excite: x * gate(W2 act(W1 mean(x)))."""
        s = self.op("GlobalAveragePool", x)
        s = self.act(self.biased(s, channels, inner), act)
        s = self.biased(s, inner, channels)
        return self.op(
            "Mul", x, self.op("HardSigmoid", s, alpha=1 / 6, beta=0.5) if gate == "hard" else self.op("Sigmoid", s)
        )

    def biased(self, x, inputs, outputs):
        """A 1 x 1 convolution with bias."""
        return self.op(
            "Conv",
            x,
            self.normal((outputs, inputs, 1, 1), np.sqrt(2.0 / inputs)),
            self.normal(outputs, 0.1),
            kernel_shape=[1, 1],
        )

    def linear(self, x, inputs, outputs):
        return self.op(
            "Add", self.op("MatMul", x, self.normal((inputs, outputs), inputs**-0.5)), self.normal(outputs, 0.02)
        )

    def classify(self, x, inputs, classes):
        x = self.op("Flatten", self.op("GlobalAveragePool", x))
        return self.op("Gemm", x, self.normal((classes, inputs), inputs**-0.5), self.normal(classes, 0.02), transB=1)

    def layer_norm(self, x, width, epsilon=1e-6):
        gamma = self.const((1 + 0.1 * self.rng.standard_normal(width)).astype("float32"))
        return self.op("LayerNormalization", x, gamma, self.normal(width, 0.1), axis=-1, epsilon=epsilon)

    def gelu(self, x):
        """The exact form, spelled out as exporters do."""
        bend = self.op("Erf", self.op("Div", x, self.scalar(np.sqrt(2))))
        return self.op("Mul", self.op("Mul", x, self.op("Add", bend, self.scalar(1))), self.scalar(0.5))

    def save(self, path, inputs, outputs):
        """inputs: {name: (ONNX element type, shape)}; outputs: {value: shape}."""
        ins = [helper.make_tensor_value_info(name, *spec) for name, spec in inputs.items()]
        outs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()]
        graph = helper.make_graph(self.nodes, "network", ins, outs, self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=9)
        onnx.save(model, path)


def image(size, batch=1):
    return {"input": (TensorProto.FLOAT, [batch, 3, size, size])}
