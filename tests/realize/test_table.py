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


def test_a_table_of_every_code_itself_is_no_operator(build, operators):
    """Other numbers, the same codes: a scale that is taken out again."""
    module = build(lambda net, x: net.quantize(net(R.multiply(net.qdq(x, 0.25, 4), constant(4))), 1, 4), x=[2, 5])
    result = Realize()(module)
    assert operators(result) == []
    data = np.random.default_rng(0).normal(size=(2, 5)).astype("float32") * 9
    assert reference.run(module, {"x": data})[0].tobytes() == reference.run(result, {"x": data})[0].tobytes()


@pytest.mark.parametrize("dtype, shift", [("int8", 0), ("uint8", 128)])
@pytest.mark.parametrize("zero", [-7, 0])
def test_integers_of_eight_bits_are_codes(build, operators, dtype, shift, zero):
    """f32(q - z) * s quantised with s and z is q; with other numbers it is a table of q."""

    def body(net, x):
        steps = net(R.subtract(net(R.astype(x, "float32")), constant(zero + shift)))
        return relax.Tuple([net.quantize(net(R.multiply(steps, constant(0.1))), 0.1, z) for z in (zero, zero + 1)])

    module = build(body, dtype=dtype, x=[2, 128])
    result = Realize()(module)
    assert operators(result) == (["relax.astype"] if dtype == "uint8" else []) + ["octet.table"]
    data = np.arange(256).astype(dtype).reshape(2, 128)
    for one, other in zip(reference.run(module, {"x": data}), reference.run(result, {"x": data}), strict=True):
        assert one.tobytes() == other.tobytes()


def test_bounds_per_channel_are_no_table(build, operators):
    """A vector of codes is cut off quicker than looked up."""
    low, high = constant([-1, 0, 0.5], (3, 1, 1)), constant([1, 2, 0.75], (3, 1, 1))

    def body(net, x):
        return net.quantize(net(R.minimum(net(R.maximum(net.qdq(x, 0.25, 4), low)), high)), 0.25, 4)

    module = build(body, x=[1, 3, 8, 8])
    result = Realize()(module)
    assert operators(result) == ["relax.maximum", "relax.minimum"]
    assert all(str(each.var.ty.dtype) == "int8" for each in result["main"].body.blocks[0].bindings[1:])
    data = np.random.default_rng(0).normal(size=(1, 3, 8, 8)).astype("float32") * 3
    assert reference.run(module, {"x": data})[0].tobytes() == reference.run(result, {"x": data})[0].tobytes()
