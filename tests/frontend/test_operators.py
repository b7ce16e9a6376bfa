"""Every operator of convolutional networks, in the opsets where its form changed, against onnx.reference."""

import numpy as np
import onnx
import pytest
from onnx import helper

from octet.passes.pipeline import canonicalize
from octet.passes.referee import reference
from octet.targets.errors import UnsupportedModelError

NEWEST = onnx.defs.onnx_opset_version()
X5, X4, X3 = (2, 4, 5, 7, 6), (1, 6, 9, 8), (1, 6, 20)


def rand(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype("float32")


def ints(*values):
    return np.array(values, "int64")


# An entry is a name with its operator, input shapes, constants, attributes and, where it matters, the oldest opset.
CASES = {
    "conv": ("Conv", [X4], [rand(8, 6, 3, 3), rand(8)], {"pads": [1, 1, 1, 1]}),
    "conv asymmetric": (
        "Conv",
        [X4],
        [rand(8, 6, 3, 2)],
        {"pads": [0, 1, 2, 0], "strides": [2, 1], "dilations": [1, 2]},
    ),
    "conv grouped": ("Conv", [X4], [rand(9, 2, 3, 3), rand(9)], {"group": 3}),
    "conv depthwise": ("Conv", [X4], [rand(12, 1, 3, 3)], {"group": 6, "pads": [1, 1, 1, 1], "strides": [2, 2]}),
    "conv same upper": ("Conv", [X4], [rand(5, 6, 3, 4), rand(5)], {"auto_pad": "SAME_UPPER", "strides": [2, 3]}),
    "conv same lower": ("Conv", [X4], [rand(5, 6, 3, 2)], {"auto_pad": "SAME_LOWER", "dilations": [2, 2]}),
    "conv valid": ("Conv", [X4], [rand(5, 6, 3, 4)], {"auto_pad": "VALID", "strides": [2, 3]}),
    "conv 1-D": ("Conv", [X3], [rand(8, 6, 5), rand(8)], {"pads": [2, 1], "strides": [2], "dilations": [2]}),
    "conv 1-D grouped": ("Conv", [X3], [rand(12, 2, 5), rand(12)], {"group": 3}),
    "conv 3-D": (
        "Conv",
        [X5],
        [rand(6, 4, 3, 2, 3), rand(6)],
        {"pads": [1, 0, 1, 0, 1, 1], "strides": [2, 1, 2], "dilations": [1, 2, 1]},
    ),
    "conv 3-D grouped": ("Conv", [X5], [rand(6, 2, 2, 3, 3)], {"group": 2, "dilations": [2, 1, 1]}),
    "conv 3-D same": ("Conv", [X5], [rand(6, 4, 1, 3, 3), rand(6)], {"auto_pad": "SAME_UPPER"}),
    "max pool 3-D": (
        "MaxPool",
        [X5],
        [],
        {"kernel_shape": [2, 3, 2], "strides": [1, 2, 2], "pads": [1, 1, 0, 0, 1, 1]},
    ),
    "max pool 3-D ceil": ("MaxPool", [X5], [], {"kernel_shape": [3, 2, 2], "strides": [2, 2, 3], "ceil_mode": 1}),
    "average pool 3-D": (
        "AveragePool",
        [X5],
        [],
        {"kernel_shape": [2, 3, 2], "strides": [1, 2, 2], "pads": [1, 1, 0, 0, 1, 1]},
    ),
    "average pool 3-D with pads": (
        "AveragePool",
        [X5],
        [],
        {"kernel_shape": [2, 3, 2], "pads": [1, 1, 0, 0, 1, 1], "count_include_pad": 1},
    ),
    "unsqueeze": ("Unsqueeze", [X3], [ints(-1, 1)], {}, 13),
    "unsqueeze one axis": ("Unsqueeze", [X3], [np.int64(1)], {}, 13),
    "shrink": ("Shrink", [X3], [], {"lambd": 0.4, "bias": 0.2}),
    "transposed": (
        "ConvTranspose",
        [X4],
        [rand(6, 4, 3, 3), rand(4)],
        {"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1]},
    ),
    "transposed same": ("ConvTranspose", [X4], [rand(6, 4, 3, 3)], {"auto_pad": "SAME_UPPER", "strides": [2, 2]}),
    "transposed big pads": (
        "ConvTranspose",
        [X4],
        [rand(6, 4, 2, 2), rand(4)],
        {"strides": [2, 2], "pads": [2, 1, 0, 2]},
    ),
    "transposed 1-D": ("ConvTranspose", [X3], [rand(6, 4, 4)], {"strides": [2], "pads": [1, 1]}),
    "batch norm": (
        "BatchNormalization",
        [X4],
        [rand(6), rand(6, seed=1), rand(6, seed=2), np.abs(rand(6)) + 0.5],
        {},
        15,
    ),
    "relu": ("Relu", [X4], [], {}),
    "clip": ("Clip", [X4], [np.float32(-0.5), np.float32(0.7)], {}),
    "clip below": ("Clip", [X4], [np.float32(0)], {}),
    "leaky relu": ("LeakyRelu", [X4], [], {"alpha": 0.2}),
    "prelu": ("PRelu", [X4], [rand(6, 1, 1)], {}),
    "prelu one slope": ("PRelu", [X4], [rand(1)], {}),
    "sigmoid": ("Sigmoid", [X4], [], {}),
    "hard sigmoid": ("HardSigmoid", [X4], [], {"alpha": 0.3, "beta": 0.4}),
    "hard swish": ("HardSwish", [X4], [], {}, 14),
    "mish": ("Mish", [X4], [], {}, 18),
    "gelu": ("Gelu", [X4], [], {}, 20),
    "gelu tanh": ("Gelu", [X4], [], {"approximate": "tanh"}, 20),
    "swish": ("Swish", [X4], [], {"alpha": 1.3}, 24),
    "elu": ("Elu", [X4], [], {"alpha": 0.7}),
    "selu": ("Selu", [X4], [], {}),
    "celu": ("Celu", [X4], [], {"alpha": 0.5}, 12),
    "softplus": ("Softplus", [X4], [], {}),
    "softsign": ("Softsign", [X4], [], {}),
    "thresholded relu": ("ThresholdedRelu", [X4], [], {"alpha": 0.5}),
    "tanh": ("Tanh", [X4], [], {}),
    "erf": ("Erf", [X4], [], {}),
    "add": ("Add", [X4, X4], [], {}),
    "add gate": ("Mul", [X4, (1, 6, 1, 1)], [], {}),
    "add constant": ("Add", [X4], [rand(6, 1, 1)], {}),
    "sub": ("Sub", [X4, X4], [], {}),
    "sub constant": ("Sub", [X4], [rand(1, 6, 1, 1)], {}),
    "mul": ("Mul", [X4, X4], [], {}),
    "div constant": ("Div", [X4], [rand(6, 1, 1) + 3], {}),
    "sum": ("Sum", [X4, X4, X4], [], {}),
    "mean": ("Mean", [X4, X4, X4], [], {}),
    "max": ("Max", [X4, X4], [], {}),
    "pow": ("Pow", [X4], [np.float32(2)], {}),
    "concat": ("Concat", [X4, (1, 2, 9, 8)], [rand(1, 1, 9, 8)], {"axis": 1}),
    "slice": ("Slice", [X4], [ints(1, -7), ints(5, 2**62), ints(1, -1), ints(1, 2)], {}),
    "slice backwards": ("Slice", [X4], [ints(-1), ints(-(2**62)), ints(2), ints(-1)], {}),
    "pad": ("Pad", [X4], [ints(0, 1, 1, 2, 0, 0, 3, 1), np.float32(1.5)], {}),
    "pad reflect": ("Pad", [X4], [ints(0, 0, 1, 2, 0, 0, 3, 1)], {"mode": "reflect"}),
    "pad edge": ("Pad", [X4], [ints(0, 0, 1, 2, 0, 0, 3, 1)], {"mode": "edge"}),
    "pad axes": ("Pad", [X4], [ints(1, 2, 0, 1), np.float32(0), ints(-1, 2)], {}, 18),
    "max pool": ("MaxPool", [X4], [], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
    "max pool ceil": (
        "MaxPool",
        [X4],
        [],
        {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 0, 1, 1], "ceil_mode": 1},
    ),
    "max pool dilated": ("MaxPool", [X4], [], {"kernel_shape": [2, 2], "dilations": [2, 3]}),
    "max pool same": ("MaxPool", [X4], [], {"kernel_shape": [3, 4], "strides": [2, 3], "auto_pad": "SAME_UPPER"}),
    "max pool 1-D": ("MaxPool", [X3], [], {"kernel_shape": [3], "strides": [2], "pads": [1, 1], "ceil_mode": 1}),
    "average pool": ("AveragePool", [X4], [], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
    "average pool counted": (
        "AveragePool",
        [X4],
        [],
        {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1], "count_include_pad": 1},
    ),
    "average pool ceil": ("AveragePool", [X4], [], {"kernel_shape": [3, 2], "strides": [2, 2], "ceil_mode": 1}),
    "average pool counted ceil": (
        "AveragePool",
        [X4],
        [],
        {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 0, 1, 1], "ceil_mode": 1, "count_include_pad": 1},
        19,
    ),
    "average pool 1-D": ("AveragePool", [X3], [], {"kernel_shape": [3], "strides": [2], "pads": [1, 1]}),
    "average of all": ("AveragePool", [X4], [], {"kernel_shape": [9, 8]}),
    "global average": ("GlobalAveragePool", [X4], [], {}),
    "global average 1-D": ("GlobalAveragePool", [X3], [], {}),
    "global max": ("GlobalMaxPool", [X4], [], {}),
    "flatten": ("Flatten", [X4], [], {}),
    "flatten from the end": ("Flatten", [X4], [], {"axis": -2}),
    "reshape": ("Reshape", [X4], [ints(0, -1, 4)], {}),
    "transpose": ("Transpose", [X4], [], {"perm": [0, 2, 3, 1]}),
    "gemm": ("Gemm", [(4, 5)], [rand(6, 5), rand(6)], {"transB": 1, "alpha": 0.5, "beta": 2.0}),
    "gemm transA": ("Gemm", [(5, 4)], [rand(5, 6), rand(4, 1)], {"transA": 1}),
    "gemm computed": ("Gemm", [(4, 5), (6, 5), (4, 6)], [], {"transB": 1, "alpha": 0.5, "beta": 0.3}),
    "matmul": ("MatMul", [(2, 3, 4)], [rand(1, 4, 5)], {}),
    "matmul computed": ("MatMul", [(2, 3, 4), (2, 4, 3)], [], {}),
    "softmax": ("Softmax", [(2, 5)], [], {"axis": -1}),
    "softmax channels": ("Softmax", [X4], [], {"axis": 1}, 13),
    "log softmax": ("LogSoftmax", [(2, 3, 5)], [], {"axis": 2}),
    "argmax": ("ArgMax", [X4], [], {"axis": 1}),
    "argmax flat": ("ArgMax", [(2, 5)], [], {"axis": -1, "keepdims": 0}),
    "layer norm": ("LayerNormalization", [(2, 3, 8)], [rand(8), rand(8, seed=1)], {"axis": -1}, 17),
    "layer norm of the picture": ("LayerNormalization", [X4], [rand(6, 9, 8), rand(6, 9, 8, seed=1)], {"axis": 1}, 17),
    "instance norm": ("InstanceNormalization", [X4], [rand(6), rand(6, seed=1)], {}),
    "group norm": ("GroupNormalization", [X4], [rand(6), rand(6, seed=1)], {"num_groups": 3}, 21),
    "gather one": ("Gather", [(3, 4, 5)], [np.array(-1)], {"axis": 1}),
    "gather": ("Gather", [(3, 4, 5)], [ints(2, 0, -1)], {"axis": 1}),
    "tile": ("Tile", [(2, 3)], [ints(2, 1)], {}),
    "expand": ("Expand", [(2, 1)], [ints(2, 4)], {}),
    "identity": ("Identity", [X4], [], {}),
    "dropout": ("Dropout", [X4], [], {}),
    "cast": ("Cast", [(2, 3)], [], {"to": onnx.TensorProto.INT32}),
    "running sum": ("CumSum", [X4], [np.array(2, "int64")], {}),
    "running sum before": ("CumSum", [X3], [np.array(-1, "int64")], {"exclusive": 1, "reverse": 1}),
    "depth to space": ("DepthToSpace", [(1, 8, 3, 3)], [], {"blocksize": 2}),
}
OPSETS = range(11, NEWEST + 1)


def forms(operator, oldest):
    """The opsets from `oldest` on in which the operator's definition changed, and the oldest and the newest."""
    since = {onnx.defs.get_schema(operator, opset).since_version for opset in range(oldest, NEWEST + 1)}
    return sorted({opset for opset in since if opset > oldest} | {oldest, NEWEST})


PAIRS = [(name, opset) for name, case in CASES.items() for opset in forms(case[0], case[4] if len(case) > 4 else 11)]


@pytest.mark.parametrize("name, opset", PAIRS)
def test_operator(agrees, model, name, opset):
    operator, shapes, constants, attributes = CASES[name][:4]
    inputs = {f"x{i}": rand(*shape, seed=10 + i) for i, shape in enumerate(shapes)}
    named = {f"c{i}": value for i, value in enumerate(constants)}
    agrees(model([helper.make_node(operator, [*inputs, *named], ["y"], **attributes)], inputs, named, opset), inputs)


@pytest.mark.parametrize("opset", [11, 13, 18, NEWEST])
@pytest.mark.parametrize("operator", ["ReduceMean", "ReduceSum", "ReduceMax"])
@pytest.mark.parametrize("axes, keep", [([2, 3], 1), ([-1, -2], 0), ([1], 1), ([-1], 0)])
def test_reductions(agrees, model, opset, operator, axes, keep):
    inputs, as_input = {"x": rand(2, 6, 5, 4)}, opset >= (13 if operator == "ReduceSum" else 18)
    constants = {"axes": ints(*axes)} if as_input else {}
    attributes = {} if as_input else {"axes": axes}
    node = helper.make_node(operator, [*inputs, *constants], ["y"], keepdims=keep, **attributes)
    agrees(model([node], inputs, constants, opset), inputs)


@pytest.mark.parametrize("opset", OPSETS)
def test_split_squeeze_and_unsqueeze(agrees, model, opset):
    old = opset < 13
    constants = {} if old else {"sizes": ints(2, 4), "axis": ints(0)}
    nodes = [
        helper.make_node(
            "Split", ["x"] if old else ["x", "sizes"], ["a", "b"], axis=1, **({"split": [2, 4]} if old else {})
        ),
        helper.make_node("Unsqueeze", ["b"] if old else ["b", "axis"], ["u"], **({"axes": [0]} if old else {})),
        helper.make_node("Squeeze", ["u"] if old else ["u", "axis"], ["s"], **({"axes": [0]} if old else {})),
        helper.make_node("Concat", ["s", "a"], ["y"], axis=1),
    ]
    inputs = {"x": rand(1, 6, 4, 4)}
    agrees(model(nodes, inputs, constants, opset), inputs)


@pytest.mark.parametrize("count", [2, 3])
def test_uneven_split(agrees, model, count):
    parts = [f"p{i}" for i in range(count)]
    nodes = [
        helper.make_node("Split", ["x"], parts, axis=1, num_outputs=count),
        helper.make_node("Concat", parts[::-1], ["y"], axis=1),
    ]
    inputs = {"x": rand(1, 8, 4)}
    agrees(model(nodes, inputs, opset=18), inputs)


@pytest.mark.parametrize("shape, axis, largest", [((2, 3, 40), -1, 1), ((2, 7, 5), 1, 0), ((12,), 0, 1)])
def test_top_k(model, load, shape, axis, largest):
    """Values and places, ties in the order of their places; onnx.reference has no type for the second result that
    `agrees` could check."""
    x = np.round(rand(*shape) * 3)
    node = helper.make_node("TopK", ["x", "k"], ["y", "places"], axis=axis, largest=largest)
    proto = model([node], {"x": x}, {"k": ints(4)}, outputs=("y", "places"))
    proto.graph.output[1].type.tensor_type.elem_type = onnx.TensorProto.INT64
    values, places = reference.run(canonicalize(load(proto)).module, {"x": x})
    order = np.argsort(-x if largest else x, axis=axis, kind="stable").take(range(4), axis)
    assert np.array_equal(places, order) and np.array_equal(values, np.take_along_axis(x, order, axis))


def test_more_than_there_are_is_refused(model, load):
    node = helper.make_node("TopK", ["x", "k"], ["y", "places"])
    with pytest.raises(UnsupportedModelError, match="top 9 of 5"):
        load(model([node], {"x": rand(2, 5)}, {"k": ints(9)}))


@pytest.mark.parametrize("mode", ["nearest", "linear"])
@pytest.mark.parametrize("coordinates", ["half_pixel", "asymmetric", "pytorch_half_pixel"])
@pytest.mark.parametrize("scales", [(2, 2), (0.5, 0.5), (1.75, 1.3)])
def test_resize(agrees, model, mode, coordinates, scales):
    node = helper.make_node(
        "Resize", ["x", "", "s"], ["y"], mode=mode, coordinate_transformation_mode=coordinates, nearest_mode="floor"
    )
    inputs = {"x": rand(1, 3, 6, 8)}
    agrees(model([node], inputs, {"s": np.array([1, 1, *scales], "float32")}, 18), inputs)


def test_resize_of_opset_11_with_empty_scales(agrees, model):
    node = helper.make_node("Resize", ["x", "e", "e", "s"], ["y"], mode="linear")
    inputs = {"x": rand(1, 3, 6, 8)}
    agrees(model([node], inputs, {"e": np.zeros(0, "float32"), "s": ints(1, 3, 9, 5)}, 11), inputs)


def test_transposed_convolution_with_output_shape(model, load):
    inputs = {"x": rand(1, 6, 9, 8)}
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], strides=[2, 2], output_shape=[18, 16])
    assert load(model([node], inputs, {"w": rand(6, 4, 3, 3)})).outputs[0].shape == (1, 4, 18, 16)
