"""Convolutions with their epilogues: which graphs become one octet.conv2d, and that it equals the fake-quantised one to
a quantum."""

import numpy as np
from hypothesis import given, settings, strategies as st
from tvm import relax
from tvm.relax import op as R

from octet.passes import ops
from octet.passes.realize.realize import Realize, realize
from octet.passes.referee import reference


def weight_of(net, rng, shape):
    return net.weight(rng.integers(-127, 128, shape).astype("int8"), rng.uniform(0.002, 0.01, shape[0]), 0)


def bias_of(rng, channels):
    return relax.const(rng.normal(size=(1, channels, 1, 1)).astype("float32"), "float32")


def conv_of(module):
    """The attributes of the only octet.conv2d, and how many operands it has."""
    (call,) = [b.value for b in module["main"].body.blocks[0].bindings if ops.is_op(b.value, "octet.conv2d")]
    return ops.attrs_of(call), len(call.args)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([(1, 3, 5), (2, 2, 3), (4, 1, 1), (3, 1, 2)]),
    st.sampled_from([1, 2]),
    st.sampled_from([1, 2]),
    st.lists(st.integers(0, 2), min_size=4, max_size=4),
    st.sampled_from(["none", "relu", "clip"]),
    st.booleans(),
    st.integers(-128, 127),
)
def test_equals_the_hub(
    build, operators, assert_close_codes, seed, sizes, stride, dilation, padding, activation, with_residual, zero_point
):
    groups, depth, multiple = sizes
    channels = groups * multiple
    geometry = {"strides": [stride] * 2, "dilation": [dilation] * 2, "padding": padding, "groups": groups}

    def body(net, x, *residual):
        rng = np.random.default_rng(seed)
        y = net(R.nn.conv2d(net.qdq(x, 0.03, zero_point), weight_of(net, rng, (channels, depth, 3, 3)), **geometry))
        y = net(R.add(y, bias_of(rng, channels)))
        for r in residual:
            y = net(R.add(net.qdq(r, 0.02, -zero_point - 1), y))
        y = {"none": lambda: y, "relu": lambda: net(R.nn.relu(y)), "clip": lambda: net(R.clip(y, -0.5, 3.0))}[
            activation
        ]()
        return net.quantize(y, 0.05, 10)

    shape = [1, groups * depth, 9, 8]
    extent = [(size + padding[i] + padding[i + 2] - 2 * dilation - 1) // stride + 1 for i, size in enumerate(shape[2:])]
    shapes = {"x": shape} | ({"r": [1, channels, *extent]} if with_residual else {})
    module = build(body, **shapes)
    result = Realize()(module)
    assert operators(result) == ["octet.conv2d"]
    assert conv_of(result)[1] == (5 if with_residual else 4)
    rng = np.random.default_rng(seed + 1)
    feed = {name: rng.normal(size=shape).astype("float32") for name, shape in shapes.items()}
    assert_close_codes(reference.run(module, feed)[0], reference.run(result, feed)[0], share=0.04)


def test_clips_become_clip_bounds(build):
    def body(net, x):
        rng = np.random.default_rng(0)
        y = net(R.nn.relu(net(R.nn.conv2d(net.qdq(x, 0.03, 0), weight_of(net, rng, (4, 3, 1, 1))))))
        return net.quantize(net(R.clip(y, -1, 6)), 0.1, -50)

    attrs, _ = conv_of(Realize()(build(body, x=[1, 3, 4, 4])))
    assert (attrs["clip_min"], attrs["clip_max"]) == (-50, 10)


def test_a_float_consumer_gets_float32(build):
    def body(net, x):
        rng = np.random.default_rng(0)
        y = net(R.nn.conv2d(net.qdq(x, 0.03, 0), weight_of(net, rng, (4, 3, 1, 1))))
        return net(R.clip(net(R.add(y, bias_of(rng, 4))), 0, 6))

    module = build(body, x=[1, 3, 4, 4])
    result = Realize()(module)
    attrs, operands = conv_of(result)
    assert (attrs["out_dtype"], attrs["clip_min"], attrs["clip_max"], operands) == ("float32", 0.0, 6.0, 4)
    data = np.random.default_rng(1).normal(size=(1, 3, 4, 4)).astype("float32")
    np.testing.assert_allclose(reference.run(result, {"x": data})[0], reference.run(module, {"x": data})[0], atol=1e-3)


def test_a_float_residual_is_added_in_float(build, operators):
    def body(net, x, r):
        rng = np.random.default_rng(0)
        y = net(R.nn.conv2d(net.qdq(x, 0.03, 0), weight_of(net, rng, (4, 3, 1, 1))))
        return net.quantize(net(R.add(y, r)), 0.1, 0)

    realized = realize(build(body, x=[1, 3, 4, 4], r=[1, 4, 4, 4]))
    assert operators(realized.module) == ["octet.conv2d", "relax.add"]
    assert [(layer.dtype, layer.reason) for layer in realized.layers] == [
        ("int8", ""),
        ("float32", "an operand is not quantised"),
    ]


def test_a_result_that_others_read_is_not_absorbed(build, becomes):
    """It is handed out in float32, and the ReLU stays an operator of its own."""
    codes, scales = np.random.default_rng(0).integers(-127, 128, (4, 3, 1, 1)).astype("int8"), np.full(4, 0.25, "f4")
    both = lambda net, y: relax.Tuple([net.quantize(net(R.nn.relu(y)), 0.1, 0), net.quantize(y, 0.1, 0)])

    def before(net, x):
        return both(net, net(R.nn.conv2d(net.qdq(x, 0.5, 0), net.weight(codes, scales, 0))))

    def expected(net, x):
        constants = [relax.const(codes), relax.const(np.zeros(4, "int32")), relax.const(scales / 2)]
        geometry = {"strides": [1, 1], "padding": [0, 0, 0, 0], "dilation": [1, 1], "groups": 1}
        numbers = {"data_zero_point": 0, "out_zero_point": 0, "residual_zero_point": 0, "residual_multiplier": 0.0}
        bounds = {"clip_min": float("-inf"), "clip_max": float("inf"), "out_dtype": "float32"}
        operands = [net.quantize(x, 0.5, 0), *constants]
        return both(net, net(ops.call("octet.conv2d", operands, **geometry, **numbers, **bounds)))

    becomes(Realize(), build(before, x=[1, 3, 4, 4]), build(expected, x=[1, 3, 4, 4]))


def test_weights_along_another_axis_are_a_reason(build):
    def body(net, x):
        weight = net.weight(np.ones((4, 3, 1, 1), "int8"), [0.1, 0.2, 0.3], 1)
        return net.quantize(net(R.nn.conv2d(net.qdq(x, 0.03, 0), weight)), 0.1, 0)

    (layer,) = realize(build(body, x=[1, 3, 4, 4])).layers
    assert layer.reason == "its weights are quantised along axis 1, not along the output channel (axis 0)"
