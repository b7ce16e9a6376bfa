"""The canonicalisation phase on whole networks: which operators are left, and that the answers are those of
onnx.reference."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from onnx import helper, save
from onnx.reference import ReferenceEvaluator
from tvm import relax
from tvm.ir import assert_structural_equal

from octet.passes import ops
from octet.passes.frontend.onnx import load_onnx
from octet.passes.pipeline import CANONICALIZE, canonicalize
from octet.passes.referee import reference

_spec = importlib.util.spec_from_file_location(
    "frontend_graphs", Path(__file__).parents[1] / "frontend" / "conftest.py"
)
graphs = sys.modules["frontend_graphs"] = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(graphs)


class Network:
    """Writes an ONNX graph node by node; weights are seeded."""

    def __init__(self, opset):
        self.nodes, self.constants, self.opset = [], {}, opset
        self.random = np.random.default_rng(0)

    def weight(self, *shape, low=None):
        value = self.random.standard_normal(shape).astype("float32")
        return self.constant(value if low is None else np.abs(value) + np.float32(low))

    def constant(self, value):
        self.constants[f"c{len(self.constants)}"] = np.asarray(value)
        return f"c{len(self.constants) - 1}"

    def op(self, operator, *inputs, **attributes):
        output = f"v{len(self.nodes)}"
        self.nodes.append(
            helper.make_node(operator, list(inputs), [output], name=f"{operator}_{len(self.nodes)}", **attributes)
        )
        return output

    def conv(self, x, channels, out, *kernel, groups=1, **attributes):
        return self.op("Conv", x, self.weight(out, channels // groups, *kernel), group=groups, **attributes)

    def norm(self, x, channels, gamma=None):
        gamma = self.weight(channels) if gamma is None else self.constant(np.asarray(gamma, "float32"))
        return self.op(
            "BatchNormalization", x, gamma, self.weight(channels), self.weight(channels), self.weight(channels, low=0.5)
        )

    def check(self, tmp_path, shape):
        """The operators left after canonicalisation; its outputs equal onnx.reference's within 1e-4 of the largest."""
        self.nodes[-1].output[0] = "y"
        inputs = {"x": self.random.standard_normal(shape).astype("float32")}
        proto = graphs.make_model(self.nodes, inputs, self.constants, self.opset)
        save(proto, tmp_path / "network.onnx")
        model = canonicalize(load_onnx(tmp_path / "network.onnx"))
        relax.analysis.well_formed(model.module)
        (got,), (want,) = reference.run(model.module, inputs), ReferenceEvaluator(proto).run(None, inputs)
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-4 * np.abs(want).max())
        bindings = model.module["main"].body.blocks[0].bindings
        assert len({b.var.name for b in bindings}) == len(bindings), "names are unique"
        calls = [b.value for b in bindings if isinstance(b.value, relax.Call)]
        return [
            ops.attrs_of(c)["kind"] if ops.is_op(c, "octet.unary") else c.op.name.removeprefix("relax.") for c in calls
        ], model


LAYER = ["nn.conv2d", "add"]


@pytest.mark.parametrize("opset", [15, 18])
def test_residual_network_with_depthwise_layers(tmp_path, opset):
    n = Network(opset)
    x = n.op(
        "Clip",
        n.norm(n.conv("x", 3, 8, 3, 3, strides=[2, 2], pads=[1, 1, 1, 1]), 8),
        n.constant(np.float32(0)),
        n.constant(np.float32(6)),
    )
    y = n.op("Relu", n.norm(n.conv(x, 8, 8, 3, 3, groups=8, pads=[1, 1, 1, 1]), 8))
    x = n.op("Relu", n.op("Add", n.norm(n.conv(y, 8, 8, 1, 1), 8), x))
    x = n.op("Flatten", n.op("GlobalAveragePool", n.op("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2])))
    n.op("Gemm", x, n.weight(5, 8), n.weight(5), transB=1)
    names, _ = n.check(tmp_path, (1, 3, 16, 16))
    assert names == [
        *LAYER,
        "clip",
        *LAYER,
        "nn.relu",
        *LAYER,
        "add",
        "nn.relu",
        "nn.max_pool2d",
        "mean",
        "reshape",
        "matmul",
        "add",
    ]


def test_pre_activation_network_keeps_what_cannot_fold(tmp_path):
    n = Network(17)
    x = n.conv("x", 3, 8, 3, 3, pads=[1, 1, 1, 1])
    y = n.conv(n.op("Relu", n.norm(x, 8)), 8, 8, 3, 3, pads=[1, 1, 1, 1])
    n.op("Add", x, y)
    names, model = n.check(tmp_path, (1, 3, 8, 8))
    assert names == ["nn.conv2d", "multiply", "add", "nn.relu", "nn.conv2d", "add"]
    assert ["also used elsewhere" in note for note in model.notes] == [True]


def test_norm_in_front_of_convolutions(tmp_path):
    n = Network(17)
    n.conv(n.norm("x", 3, gamma=[0.8, -1, 1]), 3, 8, 3, 3)
    assert n.check(tmp_path, (1, 3, 8, 8))[0] == LAYER
    n = Network(17)
    n.conv(n.norm("x", 3, gamma=[0.01, -1, 1]), 3, 8, 3, 3)
    names, model = n.check(tmp_path, (1, 3, 8, 8))
    assert names[0] == "multiply" and "evens out the channels" in model.notes[0]
    n = Network(17)
    n.conv(n.norm("x", 3, gamma=[0.8, -1, 1]), 3, 8, 3, 3, pads=[1, 1, 1, 1])
    names, model = n.check(tmp_path, (1, 3, 8, 8))
    assert names == ["multiply", "add", "nn.conv2d"] and "pads its input" in model.notes[0]


def test_squeeze_and_excitation_with_spelled_out_functions(tmp_path):
    n = Network(13)
    x = n.conv("x", 4, 8, 3, 3)
    x = n.op("Mul", x, n.op("Sigmoid", x))
    gate = n.conv(n.op("GlobalAveragePool", x), 8, 8, 1, 1)
    gate = n.op(
        "Div",
        n.op(
            "Clip", n.op("Add", gate, n.constant(np.float32(3))), n.constant(np.float32(0)), n.constant(np.float32(6))
        ),
        n.constant(np.float32(6)),
    )
    n.op("Mul", x, gate)
    assert n.check(tmp_path, (1, 4, 8, 8))[0] == ["nn.conv2d", "silu", "mean", "nn.conv2d", "hard_sigmoid", "multiply"]


def test_one_dimensional_network_runs_in_two(tmp_path):
    n = Network(15)
    x = n.op("Relu", n.norm(n.conv(n.norm("x", 6), 6, 8, 5, strides=[2]), 8))
    x = n.op("Relu", n.op("Add", n.norm(n.conv(x, 8, 8, 3, pads=[1, 1]), 8), n.norm(n.conv(x, 8, 8, 1), 8)))
    x = n.op("MaxPool", x, kernel_shape=[2], strides=[2])
    n.op("ReduceMean", x, axes=[2], keepdims=0)
    names, _ = n.check(tmp_path, (1, 6, 40))
    assert names == ["reshape", *LAYER, "nn.relu", *LAYER, *LAYER, "add", "nn.relu", "nn.max_pool2d", "mean", "reshape"]


def test_upsampling_network(tmp_path):
    n = Network(17)
    low = n.op(
        "Relu", n.conv(n.op("Pad", "x", n.constant(np.array([0, 0, 1, 1, 0, 0, 1, 1]))), 3, 8, 3, 3, strides=[2, 2])
    )
    up = n.norm(n.op("ConvTranspose", low, n.weight(8, 4, 2, 2), n.weight(4), strides=[2, 2]), 4)
    resized = n.op(
        "Resize",
        low,
        "",
        n.constant(np.array([1, 1, 2, 2], "float32")),
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )
    n.conv(n.op("Concat", n.op("LeakyRelu", up, alpha=0.1), resized, axis=1), 12, 2, 1, 1)
    names, _ = n.check(tmp_path, (1, 3, 8, 8))
    assert names == [
        "nn.conv2d",
        "nn.relu",
        *LAYER,
        "image.resize2d",
        "leaky_relu",
        "octet.depth_to_space",
        "concat",
        "nn.conv2d",
    ]


@pytest.mark.parametrize("opset", [13, 18])
def test_attention_block(tmp_path, opset):
    n = Network(opset)
    axes = [n.constant(np.array([-1]))] if opset >= 18 else []
    attribute = {} if axes else {"axes": [-1]}

    def norm(x):
        centred = n.op("Sub", x, n.op("ReduceMean", x, *axes, **attribute))
        variance = n.op("ReduceMean", n.op("Pow", centred, n.constant(np.float32(2))), *axes, **attribute)
        normal = n.op("Div", centred, n.op("Sqrt", n.op("Add", variance, n.constant(np.float32(1e-5)))))
        return n.op("Add", n.op("Mul", normal, n.weight(8)), n.weight(8))

    def linear(x, k, out):
        return n.op("Add", n.op("MatMul", x, n.weight(k, out)), n.weight(out))

    x = norm("x")
    q, k, v = (linear(x, 8, 8) for _ in range(3))
    scores = n.op("Div", n.op("MatMul", q, n.op("Transpose", k, perm=[0, 2, 1])), n.constant(np.float32(2.5)))
    x = n.op("Add", n.op("MatMul", n.op("Softmax", scores, axis=-1), v), x)
    h = linear(x, 8, 16)
    erf = n.op("Add", n.op("Erf", n.op("Div", h, n.constant(np.float32(np.sqrt(2))))), n.constant(np.float32(1)))
    linear(n.op("Mul", n.op("Mul", h, erf), n.constant(np.float32(0.5))), 16, 8)
    dense = ["matmul", "add"]
    names, _ = n.check(tmp_path, (2, 6, 8))
    assert names == [
        "nn.layer_norm",
        *dense * 3,
        "permute_dims",
        "matmul",
        "multiply",
        "nn.softmax",
        "matmul",
        "add",
        *dense,
        "gelu",
        *dense,
    ]


def test_a_second_run_changes_nothing(tmp_path):
    n = Network(15)
    n.op("Relu", n.norm(n.conv(n.norm("x", 6), 6, 8, 5), 8))
    _, model = n.check(tmp_path, (1, 6, 20))
    again = model.module
    for step in CANONICALIZE:
        again = step(again)
    assert_structural_equal(again, model.module, map_free_vars=True)
