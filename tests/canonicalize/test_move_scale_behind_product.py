"""MoveScaleBehindProduct: factors of queries and keys."""

import numpy as np
import pytest
from tvm.relax import op

from octet.passes.canonicalize.move_scale_behind_product import MoveScaleBehindProduct

Q, K = (1, 2, 5, 4), (1, 2, 4, 5)


def test_before_and_after(build, becomes):
    def before(q, k):
        return op.matmul(build.e(op.multiply(q, build.const(0.5))), build.e(op.multiply(k, build.const(0.25))))

    def after(q, k):
        return op.multiply(build.e(op.matmul(q, k)), build.const(0.125))

    becomes(MoveScaleBehindProduct(), build([Q, K], before), build([Q, K], after))


def test_transposes_between_do_not_matter(build, preserves, names):
    def body(q, k):
        heads = build.e(op.permute_dims(build.e(op.multiply(q, build.const(0.5))), [0, 2, 1, 3]))
        keys = build.e(op.permute_dims(build.e(op.multiply(k, build.const(3.0))), [0, 2, 3, 1]))
        return op.matmul(heads, keys)

    after = preserves(MoveScaleBehindProduct(), build([(1, 5, 2, 4), (1, 5, 2, 4)], body))
    assert names(after) == ["permute_dims", "permute_dims", "matmul", "multiply"]


@pytest.mark.parametrize(
    "factor", [0.5 * np.ones((1, 1, 5, 1)), 1.0, 0.0, np.inf], ids=["per row", "one", "nothing", "infinity"]
)
def test_other_factors_stay(build, unchanged, factor):
    unchanged(
        MoveScaleBehindProduct(), build([Q, K], lambda q, k: op.matmul(build.e(op.multiply(q, build.const(factor))), k))
    )


def test_what_others_read_stays(build, unchanged):
    def body(q, k):
        scaled = build.e(op.multiply(q, build.const(0.5)))
        return [build.e(op.matmul(scaled, k)), build.e(op.nn.relu(scaled))]

    unchanged(MoveScaleBehindProduct(), build([Q, K], body))


def test_layers_with_weights_take_their_factors_themselves(build, unchanged):
    unchanged(
        MoveScaleBehindProduct(),
        build([Q], lambda q: op.matmul(build.e(op.multiply(q, build.const(0.5))), build.const(build.random(4, 3)))),
    )
