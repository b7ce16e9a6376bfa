"""Average pooling."""

import numpy as np
import pytest
from tvm.relax import op as R

from octet.passes import ops
from octet.passes.realize.realize import Realize, realize
from octet.passes.referee import reference

POOLS = {
    "plain": lambda x: R.nn.avg_pool2d(x, [2, 2], [2, 2]),
    "padded": lambda x: R.nn.avg_pool2d(x, [3, 3], [2, 2], [1, 1, 1, 1]),
    "padding counts": lambda x: R.nn.avg_pool2d(x, [3, 3], [1, 2], [1, 0, 1, 1], count_include_pad=True),
    "ceil mode": lambda x: R.nn.avg_pool2d(x, [3, 2], [2, 3], ceil_mode=True),
    "global": lambda x: R.mean(x, [2, 3], keepdims=True),
    "global, flat": lambda x: R.mean(x, [-1, -2]),
}


@pytest.mark.parametrize("name", POOLS)
def test_equals_the_hub(build, operators, assert_close_codes, name):
    module = build(lambda net, x: net.quantize(net(POOLS[name](net.qdq(x, 0.03, 4))), 0.0217, -3), x=[2, 3, 8, 7])
    result = Realize()(module)
    assert operators(result) == ["octet.avg_pool2d"] + ["relax.reshape"] * ("flat" in name)
    data = np.random.default_rng(0).normal(size=(2, 3, 8, 7)).astype("float32")
    assert_close_codes(reference.run(module, {"x": data})[0], reference.run(result, {"x": data})[0])


@pytest.mark.parametrize(
    "name, attributes",
    [
        ("padded", {"pool_size": [3, 3], "strides": [2, 2], "padding": [1, 1, 1, 1], "count_include_pad": 0}),
        ("padding counts", {"pool_size": [3, 3], "strides": [1, 2], "padding": [1, 0, 1, 1], "count_include_pad": 1}),
        ("global, flat", {"pool_size": [8, 7], "strides": [1, 1], "padding": [0, 0, 0, 0], "count_include_pad": 0}),
    ],
)
def test_before_and_expected(build, becomes, name, attributes):
    numbers = {"data_zero_point": 4, "multiplier": 2.0, "out_zero_point": -3, "clip_min": -128, "clip_max": 127}

    def expected(net, x):
        y = net(ops.call("octet.avg_pool2d", [net.quantize(x, 0.5, 4)], **attributes, **numbers))
        return net(R.reshape(y, [2, 3])) if "flat" in name else y

    before = build(lambda net, x: net.quantize(net(POOLS[name](net.qdq(x, 0.5, 4))), 0.25, -3), x=[2, 3, 8, 7])
    becomes(Realize(), before, build(expected, x=[2, 3, 8, 7]))


def test_a_mean_over_channels_stays_in_float(build):
    (layer,) = realize(
        build(lambda net, x: net.quantize(net(R.mean(net.qdq(x, 0.1, 0), [1])), 0.1, 0), x=[1, 3, 4, 4])
    ).layers
    assert (layer.operator, layer.dtype, layer.reason) == ("relax.mean", "float32", "it has no integer form")


def test_a_float_input_is_a_reason(build):
    (layer,) = realize(
        build(lambda net, x: net.quantize(net(R.nn.avg_pool2d(x, [2, 2])), 0.1, 0), x=[1, 3, 4, 4])
    ).layers
    assert layer.reason == "its input is not quantised"
