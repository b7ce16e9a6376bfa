"""DropNanGuards: nothing asks for the NaN of a softmax that cannot have one."""

import numpy as np
import pytest
from tvm.relax import op

from octet.passes.canonicalize.drop_nan_guards import DropNanGuards

SHAPES = [(2, 4, 8), (2, 8, 4)]
LOWEST = float(np.finfo("float32").min)


def scores(build, x, y):
    return build.e(op.multiply(build.e(op.matmul(x, y)), build.const(0.5)))


def guarded(build, softmax):
    return op.where(build.e(op.isnan(softmax)), build.const(0.0), softmax)


def masked(build, x, y, far=LOWEST, times=1):
    """Behind a mask of constants, chosen by a condition that is known at run time."""
    kept = build.e(op.greater(build.e(op.sum(x, [2], keepdims=True)), build.const(0.0)))
    found = scores(build, x, y)
    for _ in range(times):
        found = build.e(op.add(found, build.e(op.where(kept, build.const(0.0), build.const(far)))))
    return build.e(op.nn.softmax(found, -1))


def test_behind_a_mask_of_the_lowest_number(build, becomes, preserves):
    module = build(SHAPES, lambda x, y: guarded(build, masked(build, x, y)))
    becomes(DropNanGuards(), module, build(SHAPES, lambda x, y: masked(build, x, y)))
    preserves(DropNanGuards(), module)


def test_without_a_mask(build, becomes):
    plain = lambda x, y: build.e(op.nn.softmax(scores(build, x, y), -1))  # noqa: E731
    becomes(DropNanGuards(), build(SHAPES, lambda x, y: guarded(build, plain(x, y))), build(SHAPES, plain))


@pytest.mark.parametrize("options", [{"far": -np.inf}, {"times": 2}], ids=["minus infinity", "two that overflow"])
def test_rows_that_may_be_nan_stay_guarded(build, unchanged, options):
    unchanged(DropNanGuards(), build(SHAPES, lambda x, y: guarded(build, masked(build, x, y, **options))))


def test_a_mask_that_the_user_gives_may_be_infinite(build, unchanged):
    def body(x, y, m):
        return guarded(build, build.e(op.nn.softmax(build.e(op.add(scores(build, x, y), m)), -1)))

    unchanged(DropNanGuards(), build([*SHAPES, (4, 4)], body))


def test_the_nan_of_something_else(build, unchanged):
    def body(x, y):
        return op.where(build.e(op.isnan(scores(build, x, y))), build.const(0.0), masked(build, x, y))

    unchanged(DropNanGuards(), build(SHAPES, body))
