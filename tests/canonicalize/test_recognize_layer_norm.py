"""RecognizeLayerNorm: a normalisation that an exporter wrote out in its operators."""

import numpy as np
import pytest
from tvm.relax import op

from octet.passes.canonicalize.recognize_layer_norm import RecognizeLayerNorm

SHAPE = [(2, 5, 8)]


def spelled(build, x, division, axis=-1):
    centred = build.e(op.subtract(x, build.e(op.mean(x, [axis], keepdims=True))))
    variance = build.e(op.mean(build.e(op.multiply(centred, centred)), [axis], keepdims=True))
    shifted = build.e(op.add(variance, build.const(1e-5)))
    if division == "divide":
        return build.e(op.divide(centred, build.unary("sqrt", shifted)))
    inverse = (
        build.unary("rsqrt", shifted)
        if division == "rsqrt"
        else build.unary("reciprocal", build.unary("sqrt", shifted))
    )
    return build.e(op.multiply(inverse, centred))


@pytest.mark.parametrize("division", ["divide", "rsqrt", "reciprocal"])
def test_nine_operators_become_one(build, preserves, names, division):
    gamma, beta = build.random(8), build.random(8, seed=1)

    def body(x):
        return op.add(build.e(op.multiply(spelled(build, x, division), build.const(gamma))), build.const(beta))

    after = preserves(RecognizeLayerNorm(), build(SHAPE, body))
    assert names(after) == ["nn.layer_norm"]
    norm = after["main"].body.blocks[0].bindings[0].value
    np.testing.assert_array_equal(norm.args[1].value.numpy(), gamma)
    np.testing.assert_array_equal(norm.args[2].value.numpy(), beta)


@pytest.mark.parametrize("division", ["divide", "rsqrt", "reciprocal"])
def test_the_channels_of_images_go_last_and_come_back(build, becomes, preserves, division):
    gamma, beta = build.random(8, 1, 1), build.random(8, 1, 1, seed=1)

    def before(x):
        return op.add(build.e(op.multiply(spelled(build, x, division, axis=1), build.const(gamma))), build.const(beta))

    def expected(x):
        last = build.e(op.permute_dims(x, [0, 2, 3, 1]))
        norm = build.e(
            op.nn.layer_norm(last, build.const(gamma.ravel()), build.const(beta.ravel()), [-1], float(np.float32(1e-5)))
        )
        return op.permute_dims(norm, [0, 3, 1, 2])

    module = build([(2, 8, 3, 5)], before)
    becomes(RecognizeLayerNorm(), module, build([(2, 8, 3, 5)], expected))
    preserves(RecognizeLayerNorm(), module)


@pytest.mark.parametrize("factor", [(8, 3, 1), (5,)])
def test_a_factor_along_the_image_stays_behind(build, preserves, names, factor):
    module = build(
        [(2, 8, 3, 5)], lambda x: op.multiply(spelled(build, x, "divide", axis=1), build.const(build.random(*factor)))
    )
    assert names(preserves(RecognizeLayerNorm(), module)) == [
        "permute_dims",
        "nn.layer_norm",
        "permute_dims",
        "multiply",
    ]


def test_a_mean_over_rows_stays(build, unchanged):
    unchanged(RecognizeLayerNorm(), build([(2, 8, 3, 5)], lambda x: spelled(build, x, "divide", axis=2)))


def test_two_axes_stay_apart(build, unchanged):
    def body(x):
        centred = build.e(op.subtract(x, build.e(op.mean(x, [1], keepdims=True))))
        variance = build.e(op.mean(build.e(op.multiply(centred, centred)), [3], keepdims=True))
        return op.divide(centred, build.unary("sqrt", build.e(op.add(variance, build.const(1e-5)))))

    unchanged(RecognizeLayerNorm(), build([(2, 8, 3, 5)], body))


def flax(build, x, gamma, axis=-1, keepdims=True, clip=True, divisor=None):
    """With the mean of squares, sums instead of means, and the factor at the inverse root."""
    shape = [int(extent) for extent in x.ty.shape.values]
    kept = [1 if i == axis % len(shape) else extent for i, extent in enumerate(shape)]

    def mean(value):
        total = build.e(op.sum(value, [axis], keepdims=keepdims))
        return build.e(op.multiply(total, build.const(1 / (divisor or shape[axis]))))

    def keep(value):
        return value if keepdims else build.e(op.reshape(value, kept))

    average = mean(x)
    variance = build.e(op.subtract(mean(build.e(op.multiply(x, x))), build.e(op.multiply(average, average))))
    variance = keep(build.e(op.nn.relu(variance)) if clip else variance)
    inverse = build.unary("rsqrt", build.e(op.add(variance, build.const(1e-6))))
    gate = build.e(op.multiply(inverse, build.const(gamma)))
    return build.e(op.multiply(build.e(op.subtract(x, keep(average))), gate))


@pytest.mark.parametrize("keepdims", [True, False])
@pytest.mark.parametrize("clip", [True, False])
def test_the_mean_of_squares_less_the_square_of_the_mean(build, preserves, names, keepdims, clip):
    gamma, beta = build.random(8), build.random(8, seed=1)
    module = build(SHAPE, lambda x: op.add(flax(build, x, gamma, keepdims=keepdims, clip=clip), build.const(beta)))
    after = preserves(RecognizeLayerNorm(), module, tolerance=1e-4)
    assert names(after) == ["nn.layer_norm"]


@pytest.mark.parametrize("keepdims", [True, False])
def test_sequences_with_channels_second(build, preserves, names, keepdims):
    gamma, beta = build.random(5, 1), build.random(1, 5, 1, seed=1)
    module = build(SHAPE, lambda x: op.add(flax(build, x, gamma, axis=1, keepdims=keepdims), build.const(beta)))
    assert names(preserves(RecognizeLayerNorm(), module, tolerance=1e-4)) == [
        "permute_dims",
        "nn.layer_norm",
        "permute_dims",
    ]


def test_another_divisor_is_no_mean(build, unchanged):
    unchanged(RecognizeLayerNorm(), build(SHAPE, lambda x: flax(build, x, build.random(8), divisor=7)))


def test_a_factor_along_other_axes_stays_behind(build, preserves, names):
    module = build(SHAPE, lambda x: flax(build, x, build.random(5, 1)))
    assert names(preserves(RecognizeLayerNorm(), module, tolerance=1e-4)) == ["nn.layer_norm", "multiply"]


def test_another_axis_stays(build, unchanged):
    unchanged(RecognizeLayerNorm(), build([(2, 5, 8, 3, 2)], lambda x: spelled(build, x, "divide", axis=1)))
