"""RecognizeSoftmax: a softmax written out as exponentials over their sum."""

import pytest
from tvm.relax import op

from octet.passes.canonicalize.recognize_softmax import RecognizeSoftmax

SHAPE = [(2, 5, 8)]


def spelled(build, x, axis=-1, division="divide", shifted=True, summed=None):
    x = build.e(op.subtract(x, build.e(op.max(x, [axis], keepdims=True)))) if shifted else x
    exponentials = build.unary("exp", x)
    total = build.e(op.sum(exponentials, summed or [axis], keepdims=True))
    if division == "divide":
        return op.divide(exponentials, total)
    return op.multiply(build.unary("reciprocal", total), exponentials)


@pytest.mark.parametrize("division", ["divide", "multiply"])
@pytest.mark.parametrize("shifted", [True, False])
@pytest.mark.parametrize("axis", [-1, 1])
def test_five_operators_become_one(build, becomes, preserves, division, shifted, axis):
    module = build(SHAPE, lambda x: spelled(build, x, axis, division, shifted))
    becomes(RecognizeSoftmax(), module, build(SHAPE, lambda x: op.nn.softmax(x, axis % 3)))
    preserves(RecognizeSoftmax(), module)


def test_an_axis_that_is_dropped_and_put_back(build, preserves, names):
    def body(x):
        exponentials = build.unary("exp", x)
        return op.divide(exponentials, build.e(op.reshape(build.e(op.sum(exponentials, [-1])), (2, 5, 1))))

    assert names(preserves(RecognizeSoftmax(), build(SHAPE, body))) == ["nn.softmax"]


def test_another_maximum_stays_in_front(build, preserves, names):
    def body(x):
        apart = build.e(op.subtract(x, build.e(op.max(x, [1], keepdims=True))))
        return spelled(build, apart, shifted=False)

    assert names(preserves(RecognizeSoftmax(), build(SHAPE, body))) == ["max", "subtract", "nn.softmax"]


def test_a_sum_over_two_axes_stays(build, unchanged):
    unchanged(RecognizeSoftmax(), build(SHAPE, lambda x: spelled(build, x, summed=[1, 2])))


def test_the_sum_of_something_else_stays(build, unchanged):
    unchanged(
        RecognizeSoftmax(),
        build(SHAPE, lambda x: op.divide(build.unary("exp", x), build.e(op.sum(x, [-1], keepdims=True)))),
    )
