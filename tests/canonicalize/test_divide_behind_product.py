"""DivideBehindProduct: attention over many keys keeps its small probabilities in int8."""

import numpy as np
from tvm.relax import op

from octet.passes.canonicalize.divide_behind_product import MANY, DivideBehindProduct, attends_to_many

SCORES, VALUES = (1, 2, 3, MANY), (1, 2, MANY, 4)


def attention(build, axis=-1):
    return lambda x, v: op.matmul(build.e(op.nn.softmax(x, axis)), v)


def test_before_and_after(build, becomes, preserves):
    def after(x, v):
        p = build.e(op.nn.softmax(x, -1))
        e = build.e(op.multiply(p, build.unary("reciprocal", build.e(op.max(p, [-1], keepdims=True)))))
        return op.divide(build.e(op.matmul(e, v)), build.e(op.matmul(e, build.const(np.ones((MANY, 1))))))

    before = build([SCORES, VALUES], attention(build))
    becomes(DivideBehindProduct(), before, build([SCORES, VALUES], after))
    preserves(DivideBehindProduct(), before)


def test_few_keys_keep_their_probabilities(build, unchanged):
    few = build([(1, 2, 3, MANY - 1), (1, 2, MANY - 1, 4)], attention(build))
    unchanged(DivideBehindProduct(), few)
    assert not attends_to_many(few) and attends_to_many(build([SCORES, VALUES], attention(build)))


def test_another_axis_another_reader_and_constants_do_without(build, unchanged):
    unchanged(DivideBehindProduct(), build([SCORES, VALUES], attention(build, axis=1)))
    unchanged(
        DivideBehindProduct(),
        build([SCORES, VALUES], lambda x, v: [op.matmul(p := build.e(op.nn.softmax(x, -1)), v), p]),
    )
    unchanged(
        DivideBehindProduct(),
        build([SCORES], lambda x: op.matmul(build.e(op.nn.softmax(x, -1)), build.const(build.random(MANY, 4)))),
    )


def test_what_it_is_for():
    """Rows of 500 keys, 255 steps: of the probabilities most are zero, of the exponentials each keeps its part of the
    sum."""
    rng = np.random.default_rng(0)
    x, v = rng.standard_normal((64, 500)), rng.standard_normal((500, 8))
    e = np.exp(x - x.max(1, keepdims=True))
    p = e / e.sum(1, keepdims=True)
    kept = np.rint(e * 255)
    behind, before = kept @ v / kept.sum(1, keepdims=True), np.rint(p * 255) / 255 @ v
    error = lambda found: ((found - p @ v) ** 2).sum() / ((p @ v) ** 2).sum()
    assert 1000 * error(behind) < 0.1 < error(before)
