"""1-D networks in two dimensions: ConvertConv1d and LiftRank3."""

import numpy as np
import pytest
from tvm import relax
from tvm.relax import op

from octet.passes.canonicalize.convert_conv1d import ConvertConv1d
from octet.passes.canonicalize.depth_to_space.convert_transposed_conv import ConvertTransposedConv
from octet.passes.canonicalize.lift_rank3 import LiftRank3
from octet.passes.canonicalize.remove_noops import RemoveNoops

SHAPE = [(2, 6, 20)]


def conv(build, x, out=6, **options):
    return build.e(
        op.nn.conv1d(x, build.const(build.random(out, int(x.ty.shape.values[1]), 3)), padding=[1, 1], **options)
    )


def steps(module):
    for step in (ConvertConv1d(), LiftRank3(), RemoveNoops(), ConvertTransposedConv()):
        module = step(module)
    return module


OPERATORS = {
    "conv": lambda b, x: conv(b, x, strides=2, dilation=2),
    "transposed": lambda b, x: op.nn.conv1d_transpose(x, b.const(b.random(6, 3, 4)), strides=2, padding=[1, 1]),
    "max_pool": lambda b, x: op.nn.max_pool1d(x, [3], [2], [1, 1]),
    "avg_pool": lambda b, x: op.nn.avg_pool1d(x, [3], [2], [1, 0], count_include_pad=True),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_each_operator_runs_at_height_one(build, names, values, name):
    module = build(SHAPE, lambda x: OPERATORS[name](build, x))
    after = steps(module)
    assert not [n for n in names(after) if "1d" in n]
    (got,), shape = values(after), [int(e) for e in module["main"].ret_ty.fields[0].shape.values]
    assert list(got.shape) == shape and np.isfinite(got).all()


def test_a_convolution_is_one_of_height_one(build, becomes):
    w = build.random(6, 6, 3)
    before = build(SHAPE, lambda x: op.nn.conv1d(x, build.const(w), strides=2, padding=[1, 2], dilation=2))

    def expected(x):
        image = build.e(op.reshape(x, [2, 6, 1, 20]))
        options = {"strides": [1, 2], "padding": [0, 1, 0, 2], "dilation": [1, 2]}
        return op.reshape(build.e(op.nn.conv2d(image, build.const(w[:, :, None]), **options)), [2, 6, 10])

    becomes(ConvertConv1d(), before, build(SHAPE, expected))


def test_what_follows_a_reshape_to_rank_3_goes_in_front_of_it(build, becomes):
    shape, bias, part = [(2, 6, 1, 20)], build.random(6, 1), [[2], [0], [20], [2]]

    def before(x):
        y = build.e(op.nn.relu(build.e(op.reshape(x, [2, 6, 20]))))
        return op.strided_slice(build.e(op.add(y, build.const(bias))), *part)

    def expected(x):
        y = build.e(op.add(build.e(op.nn.relu(x)), build.const(bias.reshape(1, 6, 1, 1))))
        return op.reshape(build.e(op.strided_slice(y, [3], *part[1:])), [2, 6, 10])

    becomes(LiftRank3(), build(shape, before), build(shape, expected))


def between(build, x):
    """Everything that may stand between two convolutions and keep them in four dimensions."""
    y = conv(build, x)
    y = build.e(op.add(build.e(op.multiply(y, build.const(build.random(6, 1)))), build.const(build.random(1, 6, 1))))
    y = build.unary("leaky_relu", build.e(op.nn.relu(y)), alpha=0.1)
    z = build.e(op.add(y, conv(build, x)))
    parts = build.e(op.split(z, 2, 1))
    halves = [build.e(relax.TupleGetItem(parts, i)) for i in (1, 0)]
    joined = build.e(op.concat([*halves, y], 1))
    padded = build.e(op.nn.pad(joined, [0, 0, 0, 0, 2, 1]))
    cut = build.e(op.strided_slice(padded, [2], [1], [22], [2]))
    return conv(build, build.e(op.nn.prelu(cut, build.const(build.random(12)), 1)))


def test_no_reshape_is_left_between_convolutions(build, names):
    after = steps(build(SHAPE, lambda x: op.mean(between(build, x), [2], keepdims=False)))
    relax.analysis.well_formed(after)
    assert names(after)[0] == "reshape" and names(after)[-1] == "reshape" and names(after).count("reshape") == 2


def test_lifting_keeps_the_values(build, preserves):
    two_dimensional = ConvertConv1d()(build(SHAPE, lambda x: between(build, x)))
    preserves(LiftRank3(), two_dimensional)


def test_arithmetic_in_front_of_the_first_convolution_is_lifted_too(build, becomes):
    factor, term, w = build.random(1, 6, 1), build.random(6, 1), build.random(6, 6, 3)

    def line(x, *shape):
        scaled = build.e(op.multiply(x, build.const(factor.reshape(shape))))
        return build.e(op.add(scaled, build.const(term.reshape(shape))))

    def expected(x):
        y = line(build.e(op.reshape(x, [2, 6, 1, 20])), 1, 6, 1, 1)
        y = build.e(op.nn.conv2d(y, build.const(w[:, :, None]), padding=[0, 1, 0, 1]))
        return op.reshape(y, [2, 6, 20])

    before = build(SHAPE, lambda x: op.nn.conv1d(line(x, 1, 6, 1), build.const(w), padding=[1, 1]))
    becomes(steps, before, build(SHAPE, expected))


def test_operators_that_mix_axes_stay_on_rank_3(build, unchanged):
    """And so does what stands behind them."""
    mixing = lambda x: build.e(op.permute_dims(build.e(op.reshape(x, [2, 6, 20])), [0, 2, 1]))
    unchanged(LiftRank3(), build([(2, 6, 1, 20)], lambda x: op.nn.relu(mixing(x))))


def test_rank_3_without_convolutions_stays(build, unchanged):
    unchanged(LiftRank3(), build(SHAPE, lambda x: op.nn.relu(build.e(op.add(x, build.const(build.random(6, 1)))))))
    unchanged(ConvertConv1d(), build([(2, 6, 5, 5)], lambda x: op.nn.max_pool2d(x, [2, 2])))
