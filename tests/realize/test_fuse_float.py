"""FuseFloat: float layers and their epilogues become one operator."""

import numpy as np
from tvm import relax
from tvm.relax import op as R

from octet.passes import ops
from octet.passes.realize.fuse_float import FuseFloat
from octet.passes.referee import reference

RNG = np.random.default_rng(0)
WEIGHT = RNG.normal(size=(4, 2, 3, 3)).astype("float32")
BIAS = RNG.normal(size=4).astype("float32")
SQUARE = RNG.normal(size=(4, 4, 1, 1)).astype("float32")


def constant(values):
    return relax.const(values, "float32")


def test_before_and_expected(build, becomes):
    geometry = {"strides": [1, 1], "padding": [1, 1, 1, 1], "dilation": [1, 1], "groups": 2}

    def before(net, x, r):
        y = net(R.nn.conv2d(x, constant(WEIGHT), **geometry))
        y = net(R.add(y, constant(BIAS.reshape(1, 4, 1, 1))))
        return net(R.clip(net(R.add(r, y)), 0, 6))

    def expected(net, x, r):
        return net(
            ops.call(
                "octet.conv2d",
                [x, constant(WEIGHT), constant(BIAS), r],
                **geometry,
                clip_min=0.0,
                clip_max=6.0,
                out_dtype="float32",
            )
        )

    shapes = {"x": [1, 4, 5, 5], "r": [1, 4, 5, 5]}
    becomes(FuseFloat(), build(before, **shapes), build(expected, **shapes))


def test_dense(build, operators):
    matrix = RNG.normal(size=(6, 4)).astype("float32")
    module = build(
        lambda net, x: net(R.nn.relu(net(R.add(net(R.matmul(x, constant(matrix))), constant(BIAS))))), x=[2, 3, 6]
    )
    result = FuseFloat()(module)
    assert operators(result) == ["octet.dense"]
    data = RNG.normal(size=(2, 3, 6)).astype("float32")
    np.testing.assert_allclose(
        reference.run(result, {"x": data})[0], reference.run(module, {"x": data})[0], rtol=1e-5, atol=1e-5
    )


def test_of_two_convolutions_the_younger_absorbs_the_sum(build, operators):
    def body(net, x):
        first = net(R.nn.relu(net(R.nn.conv2d(x, constant(SQUARE)))))
        second = net(R.nn.conv2d(first, constant(SQUARE)))
        short = net(R.nn.conv2d(x, constant(SQUARE)))
        return net(R.nn.relu(net(R.add(second, short))))

    module = build(body, x=[1, 4, 3, 3])
    result = FuseFloat()(module)
    assert operators(result) == ["octet.conv2d"] * 3
    assert [len(b.value.args) for b in result["main"].body.blocks[0].bindings[:3]] == [3, 3, 4]
    data = RNG.normal(size=(1, 4, 3, 3)).astype("float32")
    np.testing.assert_allclose(
        reference.run(result, {"x": data})[0], reference.run(module, {"x": data})[0], rtol=1e-5, atol=1e-5
    )


def alone(net, x):
    """A convolution with SQUARE, fused with nothing."""
    geometry = {"strides": [1, 1], "padding": [0, 0, 0, 0], "dilation": [1, 1], "groups": 1}
    bounds = {"clip_min": float("-inf"), "clip_max": float("inf"), "out_dtype": "float32"}
    return net(ops.call("octet.conv2d", [x, constant(SQUARE), constant(np.zeros(4))], **geometry, **bounds))


def test_what_others_read_is_not_absorbed(build, becomes):
    both = lambda net, y: relax.Tuple([net(R.nn.relu(y)), y])
    before = build(lambda net, x: both(net, net(R.nn.conv2d(x, constant(SQUARE)))), x=[1, 4, 3, 3])
    becomes(FuseFloat(), before, build(lambda net, x: both(net, alone(net, x)), x=[1, 4, 3, 3]))


def test_a_constant_that_is_no_bias_is_added_as_a_residual(build, operators):
    position = RNG.normal(size=(1, 4, 3, 3)).astype("float32")
    module = build(lambda net, x: net(R.add(net(R.nn.conv2d(x, constant(SQUARE))), constant(position))), x=[1, 4, 3, 3])
    result = FuseFloat()(module)
    data = RNG.normal(size=(1, 4, 3, 3)).astype("float32")
    assert operators(result) == ["octet.conv2d"]
    np.testing.assert_allclose(
        reference.run(result, {"x": data})[0], reference.run(module, {"x": data})[0], rtol=1e-5, atol=1e-5
    )


def test_a_broadcast_sum_is_not_absorbed(build, becomes):
    shapes = {"x": [1, 4, 3, 3], "r": [1, 1, 3, 3]}
    before = build(lambda net, x, r: net(R.add(net(R.nn.conv2d(x, constant(SQUARE))), r)), **shapes)
    becomes(FuseFloat(), before, build(lambda net, x, r: net(R.add(alone(net, x), r)), **shapes))


def test_does_not_apply_to_a_computed_matrix(build, unchanged):
    unchanged(FuseFloat(), build(lambda net, x, y: net(R.matmul(x, y)), x=[2, 3], y=[3, 4]))
