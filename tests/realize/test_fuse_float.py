"""FuseFloat: float layers and their epilogues become one operator."""

import numpy as np
import tvm
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


def test_before_and_after(build):
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
    after = FuseFloat()(build(before, **shapes))
    tvm.ir.assert_structural_equal(after, build(expected, **shapes))
    relax.analysis.well_formed(after)


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


def test_what_others_read_is_not_absorbed(build, operators):
    def body(net, x):
        y = net(R.nn.conv2d(x, constant(SQUARE)))
        return relax.Tuple([net(R.nn.relu(y)), y])

    assert operators(FuseFloat()(build(body, x=[1, 4, 3, 3]))) == ["octet.conv2d", "relax.nn.relu"]


def test_a_constant_that_is_no_bias_is_added_as_a_residual(build, operators):
    position = RNG.normal(size=(1, 4, 3, 3)).astype("float32")
    module = build(lambda net, x: net(R.add(net(R.nn.conv2d(x, constant(SQUARE))), constant(position))), x=[1, 4, 3, 3])
    result = FuseFloat()(module)
    data = RNG.normal(size=(1, 4, 3, 3)).astype("float32")
    assert operators(result) == ["octet.conv2d"]
    np.testing.assert_allclose(
        reference.run(result, {"x": data})[0], reference.run(module, {"x": data})[0], rtol=1e-5, atol=1e-5
    )


def test_a_broadcast_sum_is_not_absorbed(build, operators):
    module = build(
        lambda net, x, r: net(R.add(net(R.nn.conv2d(x, constant(SQUARE))), r)), x=[1, 4, 3, 3], r=[1, 1, 3, 3]
    )
    assert operators(FuseFloat()(module)) == ["octet.conv2d", "relax.add"]


def test_a_computed_matrix_is_not_mine(build, operators):
    module = build(lambda net, x, y: net(R.matmul(x, y)), x=[2, 3], y=[3, 4])
    tvm.ir.assert_structural_equal(FuseFloat()(module), module)
