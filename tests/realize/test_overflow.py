"""The overflow proof is exact: the bound is reached by an input, and what exceeds it is refused."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from tvm.relax import op as R

from octet.passes.realize import overflow
from octet.passes.realize.realize import realize


@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1), st.integers(-128, 127))
def test_the_bound_is_reached(seed, zero_point):
    weight = np.random.default_rng(seed).integers(-127, 128, (5, 3, 2, 2)).astype("int8")
    bounds = overflow.accumulator_bounds(weight, zero_point)
    for channel, bound in zip(weight.astype(int), bounds):
        top = np.where(channel > 0, 127, -128) - zero_point
        bottom = np.where(channel > 0, -128, 127) - zero_point
        assert bound == max(abs((top * channel).sum()), abs((bottom * channel).sum()))


def test_accumulator():
    weight, zero = np.full((2, 70000), 127, "int8"), np.zeros(2, "int64")
    weight[0] = 1
    assert (
        overflow.prove(weight, zero, -128)
        == "an int32 accumulator could reach 2266950000 in output channel 1 (limit 2^31)"
    )
    bound = overflow.prove(weight[:, :66000], zero, -128)
    assert bound.accumulator == 255 * 127 * 66000
    bias = np.array([0, 2**31 - bound.accumulator], "int64")
    assert isinstance(overflow.prove(weight[:, :66000], bias - [0, 1], -128), overflow.Bound)
    assert isinstance(overflow.prove(weight[:, :66000], bias, -128), str)


def test_conversion():
    weight, bias = np.full((1, 4), 100, "int8"), np.zeros(1, "int64")
    assert overflow.prove(weight, bias, 0, np.float32([1000])).converted == 128 * 400 * 1000
    assert "requantised value could reach" in overflow.prove(weight, bias, 0, np.float32([1e5]))
    assert "requantised value could reach" in overflow.prove(weight, bias, 0, np.float32([1]), (0, 1e8))
    assert "requantised value could reach" in overflow.prove(weight, bias, 0, np.float32([np.inf]))


@pytest.mark.parametrize(("scale", "dtype"), [(0.5, "int8"), (1e-12, "float32")])
def test_a_layer_that_fails_stays_in_float(build, scale, dtype):
    def body(net, x):
        weight = net.weight(np.full((3, 2, 1, 1), 127, "int8"), [1.0] * 3, 0)
        return net.quantize(net(R.nn.conv2d(net.qdq(x, 0.5, 0), weight)), scale, 0)

    realized = realize(build(body, x=[1, 2, 3, 3]))
    (layer,) = realized.layers
    # The accumulator fits; only the requantised value does not: the layer itself stays integer, with a float32 result.
    assert layer.dtype == "int8" and layer.bound.accumulator == 2 * 127 * 128
    assert realized.module["main"].body.blocks[0].bindings[1].value.ty.dtype == dtype
