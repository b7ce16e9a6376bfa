"""Sums and products of quantised tensors, and changes of scale."""

import numpy as np
import pytest
from tvm.relax import op as R

from octet.passes.realize.realize import Realize, realize
from octet.passes.referee import reference

OPERATORS = {"octet.add": (R.add, 0.05), "octet.add (subtract)": (R.subtract, 0.05), "octet.mul": (R.multiply, 0.04)}


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("other", [[1, 3, 4, 5], [1, 3, 1, 1]])
@pytest.mark.parametrize("relu", [False, True])
def test_two_tensors(build, operators, assert_close_codes, name, other, relu):
    operator, scale = OPERATORS[name]

    def body(net, a, b):
        y = net(operator(net.qdq(a, 0.03, 4), net.qdq(b, 0.02, -60)))
        return net.quantize(net(R.nn.relu(y)) if relu else y, scale, -20)

    shapes = {"a": [1, 3, 4, 5], "b": other}
    module = build(body, **shapes)
    result = Realize()(module)
    assert operators(result) == [name.split()[0]]
    rng = np.random.default_rng(0)
    feed = {key: rng.normal(size=shape).astype("float32") for key, shape in shapes.items()}
    assert_close_codes(reference.run(module, feed)[0], reference.run(result, feed)[0])


def test_one_float_operand_is_a_reason(build, unchanged):
    module = build(lambda net, a, b: net.quantize(net(R.add(net.qdq(a, 0.1, 0), b)), 0.1, 0), a=[4], b=[4])
    unchanged(Realize(), module)
    (layer,) = realize(module).layers
    assert (layer.operator, layer.dtype, layer.reason) == ("relax.add", "float32", "an operand is not quantised")


def test_scales_too_far_apart_are_a_reason(build):
    module = build(
        lambda net, a, b: net.quantize(net(R.add(net.qdq(a, 1e6, 0), net.qdq(b, 0.1, 0))), 1e-4, 0), a=[4], b=[4]
    )
    (layer,) = realize(module).layers
    assert layer.dtype == "float32" and "limit 2^31" in layer.reason


def test_a_clip_alone_is_a_requantize(build, operators, assert_close_codes):
    module = build(lambda net, x: net.quantize(net(R.clip(net.qdq(x, 0.03, 4), -1, 1)), 0.01, 9), x=[200])
    result = Realize()(module)
    assert operators(result) == ["octet.requantize"]
    data = np.random.default_rng(0).normal(size=200).astype("float32") * 2
    assert_close_codes(reference.run(module, {"x": data})[0], reference.run(result, {"x": data})[0])


def test_a_clip_that_cuts_nothing_disappears(build, becomes):
    module = build(lambda net, x: net.quantize(net(R.nn.relu(net.qdq(x, 0.03, -128))), 0.03, -128), x=[200])
    becomes(Realize(), module, build(lambda net, x: net.quantize(x, 0.03, -128), x=[200]))
