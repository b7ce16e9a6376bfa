"""Functions of one quantised tensor become tables."""

import numpy as np
import pytest
from tvm import relax
from tvm.relax import op as R

from octet.passes import ops
from octet.passes.realize.realize import Realize
from octet.passes.referee import reference


def constant(values, shape=None):
    values = np.asarray(values, "float32")
    return relax.const(values if shape is None else values.reshape(shape), "float32")


SLOPES = constant([0.1, 0.5, -0.3])
FUNCTIONS = {
    "sigmoid": (lambda net, x: ops.call("octet.unary", [x], kind="sigmoid"), 1),
    "hard_sigmoid": (lambda net, x: ops.call("octet.unary", [x], kind="hard_sigmoid", alpha=0.2, beta=0.5), 1),
    "leaky": (lambda net, x: R.nn.leakyrelu(x, 0.2), 1),
    "prelu": (lambda net, x: R.nn.prelu(x, SLOPES, 1), 2),
    "silu, spelt out": (lambda net, x: R.multiply(x, net(R.sigmoid(x))), 1),
    "hard swish, spelt out": (
        lambda net, x: R.multiply(x, net(R.multiply(net(R.clip(net(R.add(x, constant(3))), 0, 6)), constant(1 / 6)))),
        1,
    ),
    "affine per channel": (
        lambda net, x: R.add(net(R.multiply(x, constant([1, 2, -1], (1, 3, 1, 1)))), constant([0, 1, 2], (3, 1, 1))),
        2,
    ),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_equals_the_hub_to_the_bit(build, operators, name):
    function, rank = FUNCTIONS[name]
    module = build(lambda net, x: net.quantize(net(function(net, net.qdq(x, 0.03, 4))), 0.02, -8), x=[1, 3, 16, 16])
    result = Realize()(module)
    assert operators(result) == ["octet.table"]
    (call,) = [b.value for b in result["main"].body.blocks[0].bindings if ops.is_op(b.value, "octet.table")]
    assert len(call.args[1].ty.shape.values) == rank
    data = np.random.default_rng(0).normal(size=(1, 3, 16, 16)).astype("float32") * 3
    assert reference.run(module, {"x": data})[0].tobytes() == reference.run(result, {"x": data})[0].tobytes()


def test_equal_channels_share_one_table(build):
    module = build(
        lambda net, x: net.quantize(net(R.nn.prelu(net.qdq(x, 0.03, 4), constant([0.1] * 3))), 0.02, 0), x=[1, 3, 2, 2]
    )
    (call,) = [b.value for b in Realize()(module)["main"].body.blocks[0].bindings if ops.is_op(b.value, "octet.table")]
    assert len(call.args[1].ty.shape.values) == 1


@pytest.mark.parametrize("shape", [(1, 1, 1, 4), (1, 3, 2, 4)])
def test_a_constant_along_another_axis_is_no_table(build, unchanged, shape):
    values = np.arange(np.prod(shape))
    module = build(
        lambda net, x: net.quantize(net(R.multiply(net.qdq(x, 0.1, 0), constant(values, shape))), 0.1, 0),
        x=[1, 3, 2, 4],
    )
    unchanged(Realize(), module)


def test_a_constant_that_enlarges_the_tensor_is_no_table(build, unchanged):
    module = build(
        lambda net, x: net.quantize(net(R.add(net.qdq(x, 0.1, 0), constant([1, 2, 3], (1, 3, 1, 1)))), 0.1, 0),
        x=[1, 1, 2, 2],
    )
    unchanged(Realize(), module)


def test_a_constant_per_element_of_a_vector_is_no_table(build, unchanged):
    module = build(lambda net, x: net.quantize(net(R.multiply(net.qdq(x, 0.1, 0), constant([1, 2, 3]))), 0.1, 0), x=[3])
    unchanged(Realize(), module)
