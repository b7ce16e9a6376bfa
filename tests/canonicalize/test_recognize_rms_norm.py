"""RecognizeRmsNorm: a normalisation by the root of the mean square, written out in its operators."""

import numpy as np
import pytest
from tvm.relax import op

from octet.passes.canonicalize.recognize_rms_norm import RecognizeRmsNorm

SHAPE = [(2, 5, 8)]


def root(build, x, of, axis=-1):
    mean = build.e(op.mean(build.e(op.multiply(of, of)), [axis], keepdims=True))
    return build.e(op.add(mean, build.const(1e-5)))


def spelled(build, x, division):
    shifted = root(build, x, x)
    if division == "divide":
        return build.e(op.divide(x, build.unary("sqrt", shifted)))
    inverse = (
        build.unary("rsqrt", shifted)
        if division == "rsqrt"
        else build.unary("reciprocal", build.unary("sqrt", shifted))
    )
    return build.e(op.multiply(inverse, x))


@pytest.mark.parametrize("division", ["divide", "rsqrt", "reciprocal"])
def test_six_operators_become_one(build, becomes, preserves, division):
    weight = build.random(8)
    module = build(SHAPE, lambda x: op.multiply(spelled(build, x, division), build.const(weight)))
    becomes(
        RecognizeRmsNorm(),
        module,
        build(SHAPE, lambda x: op.nn.rms_norm(x, build.const(weight), [-1], float(np.float32(1e-5)))),
    )
    preserves(RecognizeRmsNorm(), module)


def test_a_weight_on_the_factor_belongs_to_it(build, preserves, names):
    def body(x):
        return op.multiply(
            x, build.e(op.multiply(build.unary("rsqrt", root(build, x, x)), build.const(build.random(8))))
        )

    assert names(preserves(RecognizeRmsNorm(), build(SHAPE, body))) == ["nn.rms_norm"]


def test_a_factor_along_other_rows_stays_behind(build, preserves, names):
    module = build(SHAPE, lambda x: op.multiply(spelled(build, x, "rsqrt"), build.const(build.random(5, 1))))
    assert names(preserves(RecognizeRmsNorm(), module)) == ["nn.rms_norm", "multiply"]


def test_a_mean_over_another_axis_stays(build, unchanged):
    unchanged(
        RecognizeRmsNorm(), build(SHAPE, lambda x: op.multiply(x, build.unary("rsqrt", root(build, x, x, axis=1))))
    )


def test_the_squares_of_something_else_stay(build, unchanged):
    unchanged(
        RecognizeRmsNorm(),
        build(SHAPE, lambda x: op.multiply(x, build.unary("rsqrt", root(build, x, build.e(op.negative(x)))))),
    )


def test_a_single_number_has_no_channels(build, unchanged):
    unchanged(RecognizeRmsNorm(), build([()], lambda x: op.multiply(x, build.const(4.0))))
