"""NormalizeArithmetic: one spelling for sums, products and bounds, constants second."""

import math

import numpy as np
import pytest
from tvm.relax import op

from octet.passes.canonicalize.normalize_arithmetic import NormalizeArithmetic

SHAPE = [(1, 4, 3, 3)]


def test_a_constant_is_added_not_subtracted(build, becomes):
    c = build.random(4, 1, 1)
    becomes(
        NormalizeArithmetic(),
        build(SHAPE, lambda x: op.subtract(x, build.const(c))),
        build(SHAPE, lambda x: op.add(x, build.const(-c))),
    )


@pytest.mark.parametrize("operator", [op.add, op.multiply])
def test_a_constant_comes_second(build, becomes, operator):
    c = build.random(4, 1, 1)
    becomes(
        NormalizeArithmetic(),
        build(SHAPE, lambda x: operator(build.const(c), x)),
        build(SHAPE, lambda x: operator(x, build.const(c))),
    )


def test_bounds_become_clips(build, becomes):
    before = build(SHAPE, lambda x: op.minimum(build.e(op.maximum(x, build.const(0))), build.const(6)))
    becomes(
        NormalizeArithmetic(),
        before,
        build(SHAPE, lambda x: op.clip(build.e(op.clip(x, 0.0, math.inf)), -math.inf, 6.0)),
    )


@pytest.mark.parametrize("body", ["subtract", "divide", "reciprocal", "negative", "square", "cube", "root"])
def test_values_are_kept(build, preserves, names, body):
    c = np.abs(build.random(4, 1, 1)) + 1

    def positive(x):
        return build.unary("exp", x)

    bodies = {
        "subtract": lambda x: op.subtract(build.const(c), x),
        "divide": lambda x: op.divide(x, build.const(c)),
        "reciprocal": lambda x: op.divide(build.const(c), positive(x)),
        "negative": op.negative,
        "square": lambda x: op.power(x, build.const(2)),
        "cube": lambda x: op.power(positive(x), build.const(3)),
        "root": lambda x: op.power(positive(x), build.const(0.5)),
    }
    after = preserves(NormalizeArithmetic(), build(SHAPE, bodies[body]))
    assert not {"subtract", "divide", "relax.power", "negative"} & set(names(after))


def test_two_computed_operands_and_integers_stay(build, unchanged):
    unchanged(NormalizeArithmetic(), build(SHAPE * 2, op.subtract))
    unchanged(NormalizeArithmetic(), build(SHAPE, lambda x: op.subtract(x, build.const(3, "int32")), dtype="int32"))


def test_division_by_a_constant_with_a_zero_stays(build, unchanged):
    unchanged(NormalizeArithmetic(), build(SHAPE, lambda x: op.divide(x, build.const(0.0))))
