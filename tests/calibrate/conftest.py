"""A small network of every kind of edge, its model, samples, and the referee as executor."""

import numpy as np
import pytest
from tvm import relax

import octet.passes  # noqa: F401 - registers the operators
from octet.passes.frontend.model import Model, TensorSpec
from octet.passes.ops import call
from octet.passes.referee import reference


@pytest.fixture(scope="session")
def module():
    """conv relu6 - maxpool - residual - sigmoid gate - mean - linear: [2, 3, 8, 8] -> [2, 5]."""
    rng = np.random.default_rng(1)
    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType((2, 3, 8, 8), "float32"))

    def const(*shape):
        return relax.const((rng.standard_normal(shape) / np.sqrt(max(np.prod(shape[1:]), 1))).astype("float32"))

    def conv(value, out, name, kernel=3):
        weight = const(out, int(value.ty.shape.values[1]), kernel, kernel)
        return emit(
            relax.op.add(emit(relax.op.nn.conv2d(value, weight, padding=[kernel // 2] * 4), name), const(1, out, 1, 1)),
            f"{name}_bias",
        )

    def emit(expr, name):
        return builder.emit(expr, name)

    with builder.function("main", [x]):
        with builder.dataflow():
            y = emit(relax.op.clip(conv(x, 8, "first"), 0.0, 6.0), "relu6")
            y = emit(relax.op.nn.max_pool2d(y, (2, 2), (2, 2)), "pool")
            y = emit(relax.op.add(y, conv(y, 8, "second")), "sum")
            y = emit(relax.op.multiply(y, emit(call("octet.unary", [y], kind="sigmoid"), "gate")), "gated")
            y = emit(relax.op.reshape(emit(relax.op.mean(y, [2, 3], keepdims=True), "mean"), (2, 8)), "flat")
            y = emit(relax.op.add(emit(relax.op.matmul(y, const(8, 5)), "linear"), const(5)), "logits")
            result = builder.emit_output(relax.Tuple([y]))
        builder.emit_func_output(result)
    return builder.get()


@pytest.fixture(scope="session")
def model(module):
    return Model(
        module,
        (TensorSpec("x", (2, 3, 8, 8), "float32"),),
        (TensorSpec("logits", (2, 5), "float32"),),
        "tiny",
        "0" * 64,
        2,
    )


@pytest.fixture(scope="session")
def samples():
    return {"x": np.random.default_rng(2).standard_normal((7, 3, 8, 8)).astype("float32"), "labels": np.arange(7)}


@pytest.fixture(scope="session")
def referee():
    """The NumPy referee as an executor (it hands out tensors: summaries=False)."""
    return lambda module: lambda feed: reference.run(module, feed)


def dequantize(codes, qparams):
    """What codes stand for, float32."""
    return (codes.astype(np.float32) - np.float32(qparams.zero_point)) * np.float32(qparams.scale)


def assert_equal_statistics(found, wanted, name=None):
    """Counts, ranges, largest values and every bin of the histogram."""
    assert (found.count, found.zeros, found.range, found.top) == (
        wanted.count,
        wanted.zeros,
        wanted.range,
        wanted.top,
    ), name
    assert found.histogram.tobytes() == wanted.histogram.tobytes(), name
