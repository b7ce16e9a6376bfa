"""Every operator of the table against the referee, in ONNX Runtime."""

import numpy as np
import pytest
from tvm import relax

from octet.passes.export.functions import unary
from octet.passes.export.onnx_qdq import to_onnx
from octet.passes.ops import call
from octet.targets.errors import UnsupportedModelError

RNG = np.random.default_rng(3)
R = relax.op


def const(*shape):
    return relax.const(RNG.standard_normal(shape).astype("float32"))


IMAGE = {
    "conv2d": lambda x: R.nn.conv2d(
        x, const(6, 2, 3, 3), strides=[2, 1], padding=[0, 1, 2, 1], dilation=[1, 2], groups=2
    ),
    "max_pool2d": lambda x: R.nn.max_pool2d(x, (3, 2), (2, 2), (1, 0, 1, 1)),
    "avg_pool2d": lambda x: R.nn.avg_pool2d(x, (3, 3), (2, 2), (1, 1, 1, 1)),
    "avg_pool2d with padding": lambda x: R.nn.avg_pool2d(x, (3, 3), (2, 2), (1, 1, 1, 1), count_include_pad=True),
    "global mean": lambda x: R.mean(x, [2, 3], keepdims=True),
    "mean": lambda x: R.mean(x, [1]),
    "clip": lambda x: R.clip(x, -0.5, 0.75),
    "prelu": lambda x: R.nn.prelu(x, const(4)),
    "reshape": lambda x: R.reshape(x, (4, 35)),
    "permute_dims": lambda x: R.permute_dims(x, [0, 2, 3, 1]),
    "strided_slice": lambda x: R.strided_slice(x, axes=[2, 3], begin=[1, 0], end=[4, 7], strides=[2, 3]),
    "pad": lambda x: R.nn.pad(x, (0, 0, 0, 0, 1, 2, 0, 3), pad_value=0.5),
    "pad_edge": lambda x: R.nn.pad(x, (0, 0, 0, 0, 1, 2, 0, 3), "replicate"),
    "tile": lambda x: R.tile(x, [1, 2, 1, 3]),
    "nearest": lambda x: R.image.resize2d(
        x, (10, 14), method="nearest_neighbor", coordinate_transformation_mode="asymmetric", rounding_method="floor"
    ),
    "linear": lambda x: R.image.resize2d(x, (10, 14), method="linear"),
    "interleave": lambda x: call("octet.interleave", [x], strides=[2, 3], fill=0),
    "depth_to_space": lambda x: call("octet.depth_to_space", [x], strides=[2, 2]),
    "depth_to_columns": lambda x: call("octet.depth_to_space", [x], strides=[1, 4]),
    "frame": lambda x: call("octet.frame", [x], padding=[1, 0, 2, 3], fill=[0.5, -1.0, 2.0, 0.0]),
    "softmax": lambda x: R.nn.softmax(x, 1),
    "log_softmax": lambda x: R.nn.log_softmax(x, 1),
    "argmax": lambda x: R.argmax(x, 1),
    "matmul": lambda x: R.matmul(x, const(7, 3)),
    "add": lambda x: R.add(x, const(1, 4, 1, 1)),
    "subtract": lambda x: R.subtract(x, const(1)),
    "multiply": lambda x: R.multiply(x, const(4, 1, 7)),
    "maximum": lambda x: R.maximum(x, const(1)),
    "expand_dims": lambda x: R.expand_dims(x, [1]),
    "concat": lambda x: R.concat([x, const(1, 2, 5, 7)], axis=1),
}


@pytest.mark.parametrize("name", IMAGE)
def test_operator(build, agree, name):
    agree(build(lambda emit, x: emit(IMAGE[name](x)), x=(1, 4, 5, 7)))


UNARY = [
    "sigmoid",
    "tanh",
    "exp",
    "erf",
    "abs",
    "softplus",
    "softsign",
    "silu",
    "mish",
    "gelu",
    "gelu_tanh",
    "hard_swish",
    "floor",
    "ceil",
    "round",
    ("hard_sigmoid", {"alpha": 0.3, "beta": 0.4}),
    ("leaky_relu", {"alpha": 0.2}),
    ("elu", {"alpha": 0.7}),
    ("celu", {"alpha": 0.7}),
    ("selu", {"alpha": 1.6, "gamma": 1.1}),
    ("thresholded_relu", {"alpha": 0.4}),
]
POSITIVE = ["log", "sqrt", "rsqrt", "reciprocal", ("power", {"exponent": 1.5})]


@pytest.mark.parametrize("kind", UNARY + POSITIVE, ids=lambda k: k if isinstance(k, str) else k[0])
def test_unary(build, agree, kind):
    kind_, attrs = (kind, {}) if isinstance(kind, str) else kind
    agree(
        build(lambda emit, x: emit(call("octet.unary", [x], kind=kind_, **attrs)), x=(2, 3, 5)),
        positive=kind in POSITIVE,
    )


def test_split_and_several_results(build, agree):
    def body(emit, x):
        parts = emit(R.split(x, [1, 3], axis=1))
        return [emit(relax.TupleGetItem(parts, i)) for i in (2, 0)] + [x]

    agree(build(body, x=(1, 4, 2, 2)))


def test_rms_norm(build, agree):
    agree(build(lambda emit, x: emit(R.nn.rms_norm(x, const(6), axes=[-1], epsilon=1e-5)), x=(2, 3, 6)))


def test_layer_norm(build, agree):
    agree(build(lambda emit, x: emit(R.nn.layer_norm(x, const(6), const(6), axes=[-1], epsilon=1e-5)), x=(2, 3, 6)))


@pytest.mark.parametrize("kind", ["values", "indices"])
def test_top_k(build, agree, kind):
    agree(build(lambda emit, x: emit(R.astype(emit(R.topk(x, 3, 1, kind, True, "int64")), "float32")), x=(2, 8, 3)))


def test_running_sum_backwards(build, agree):
    agree(build(lambda emit, x: emit(R.flip(emit(R.cumsum(emit(R.flip(x, 1)), 1, exclusive=True)), 1)), x=(2, 6)))


def test_unknown_operator(build):
    module = build(lambda emit, x: emit(R.cumprod(x, 0)), x=(3,))
    with pytest.raises(UnsupportedModelError, match="relax.cumprod"):
        to_onnx(module, ("y",))


def test_unknown_function():
    with pytest.raises(UnsupportedModelError, match="bessel"):
        unary("bessel", "x", None)


def test_rows_of_an_int8_table(build, agree):
    table, scales = (
        relax.const(RNG.integers(-127, 128, (9, 5)).astype("int8")),
        relax.const(RNG.uniform(0.01, 1, 9).astype("float32")),
    )

    def body(emit, x):
        return emit(call("octet.embedding", [table, scales, emit(R.argmax(x, 1))]))

    agree(build(body, x=(2, 9, 3)))


@pytest.mark.parametrize("name", ["acos", "asin", "atan", "asinh", "atanh", "tan", "sinh", "cosh"])
def test_functions_of_angles(build, agree, name):
    agree(build(lambda emit, x: emit(getattr(R, name)(emit(R.tanh(x)))), x=(2, 5)))


def test_what_has_an_operator_of_its_own(build, agree):
    def body(emit, x):
        whole = emit(R.astype(emit(R.multiply(x, relax.const(np.float32(9)))), "int64"))
        rest = emit(R.mod(whole, relax.const(np.array(4), "int64")))
        padded = emit(R.nn.pad(whole, (0, 0, 1, 1), "reflect"))
        framed = emit(R.nn.pad(rest, (0, 0, 1, 2), pad_value=3))
        other = emit(R.not_equal(rest, relax.const(np.array(1), "int64")))
        return [other, emit(R.prod(x, [1])), emit(R.tril(x, -1)), emit(R.triu(x, 1)), rest, padded, framed]

    agree(build(body, x=(3, 4)))


def test_statistics_that_are_computed(build, agree):
    def body(emit, x, scale, shift, mean, variance):
        whole = emit(R.nn.batch_norm(x, scale, shift, mean, emit(R.abs(variance)), axis=1, training=False))
        return emit(relax.TupleGetItem(whole, 0))

    agree(build(body, x=(2, 3, 4), **dict.fromkeys(("scale", "shift", "mean", "variance"), (3,))))


@pytest.mark.parametrize("threshold", [{}, {"threshold": 0.1}])
@pytest.mark.parametrize("centers", [0, 1])
def test_boxes_that_are_kept(build, agree, threshold, centers):
    """Behind those that are kept the rows are -1, as in the network."""
    attrs = {"most": 3, "overlap": 0.2, "centers": centers, **threshold}
    agree(
        build(
            lambda emit, boxes, scores: emit(call("octet.non_max_suppression", [boxes, scores], **attrs)),
            boxes=(2, 6, 4),
            scores=(2, 2, 6),
        ),
        positive=bool(centers),
    )


def test_places_of_what_is_true(build, agree):
    zero = relax.const(np.float32(0))
    agree(build(lambda emit, x: emit(call("octet.nonzero", [emit(R.greater(x, zero))])), x=(3, 4)))


def test_a_padding_that_wraps_around_is_refused(build):
    module = build(lambda emit, x: emit(R.nn.pad(x, (0, 0, 1, 1), "circular")), x=(2, 4))
    with pytest.raises(UnsupportedModelError, match="wraps around, which opset 17 cannot say"):
        to_onnx(module, ("y",))


def test_sums_of_rows_are_scattered(build, agree):
    """As ScatterND with a sum; numbers of either type."""
    for dtype in ("int32", "int64"):
        numbers = relax.const(np.array([2, 0, 2, 1], dtype))
        agree(build(lambda emit, x: emit(call("octet.scatter_add", [x, const(4, 5), numbers])), x=(3, 5)))
