"""FoldConstants and RemoveNoops."""

import numpy as np
from tvm.relax import op

from octet.passes.canonicalize.fold_constants import FoldConstants
from octet.passes.canonicalize.remove_noops import RemoveNoops


def test_movement_and_arithmetic_of_constants_is_done_at_compile_time(build, becomes):
    w = build.random(3, 4)
    before = build(
        [(2, 4)],
        lambda x: op.matmul(x, build.e(op.permute_dims(build.e(op.multiply(build.const(w), build.const(2.0)))))),
    )
    becomes(FoldConstants(), before, build([(2, 4)], lambda x: op.matmul(x, build.const(2 * w.T))))


def test_concat_of_constants(build, becomes):
    a, b = build.random(1, 4), build.random(2, 4)
    before = build([(3, 4)], lambda x: op.add(x, build.e(op.concat([build.const(a), build.const(b)], 0))))
    becomes(FoldConstants(), before, build([(3, 4)], lambda x: op.add(x, build.const(np.concatenate([a, b])))))


def test_int64_keeps_its_width(build):
    before = build(
        [(3,)], lambda x: op.add(x, build.e(op.reshape(build.const([[2**40]], "int64"), [1]))), dtype="int64"
    )
    folded = FoldConstants()(before)["main"].body.blocks[0].bindings[0].value.args[1].value.numpy()
    assert folded.dtype == np.int64 and folded.tolist() == [2**40]


def test_computed_operands_stay(build, unchanged):
    unchanged(FoldConstants(), build([(3, 4)], lambda x: op.permute_dims(x)))


def test_reshapes_and_transposes_merge(build, becomes):
    shape = [(2, 3, 4)]
    squeezed = build(shape, lambda x: op.reshape(build.e(op.expand_dims(build.e(op.reshape(x, [6, 4])), [0])), [4, 6]))
    becomes(RemoveNoops(), squeezed, build(shape, lambda x: op.reshape(x, [4, 6])))
    turned = build(shape, lambda x: op.permute_dims(build.e(op.permute_dims(x, [1, 2, 0])), [2, 1, 0]))
    becomes(RemoveNoops(), turned, build(shape, lambda x: op.permute_dims(x, [0, 2, 1])))


def test_what_undoes_itself_vanishes(build, becomes):
    def body(x):
        back = build.e(op.permute_dims(build.e(op.permute_dims(x, [0, 2, 1])), [0, 2, 1]))
        same = build.e(op.astype(build.e(op.reshape(build.e(op.reshape(back, [24])), [2, 3, 4])), "float32"))
        return op.nn.relu(build.e(op.multiply(build.e(op.add(same, build.const(0))), build.const(1))))

    becomes(RemoveNoops(), build([(2, 3, 4)], body), build([(2, 3, 4)], op.nn.relu))


def test_moving_only_ones_is_a_reshape(build, becomes):
    becomes(
        RemoveNoops(),
        build([(1, 5, 1, 7)], lambda x: op.permute_dims(x, [0, 2, 1, 3])),
        build([(1, 5, 1, 7)], lambda x: op.reshape(x, [1, 1, 5, 7])),
    )


def test_what_does_something_stays(build, unchanged):
    unchanged(RemoveNoops(), build([(1, 5, 1, 7)], lambda x: op.permute_dims(x, [0, 2, 3, 1])))
    unchanged(RemoveNoops(), build([(2, 3)], lambda x: op.strided_slice(x, [0], [1], [-3], [-1])))
    unchanged(RemoveNoops(), build([(2, 3)], lambda x: op.add(x, build.const(np.zeros((2, 2, 3))))))


def test_all_places_in_order_are_a_reshape(build, becomes):
    """Exporters index a mask with batch and place, which are known."""
    becomes(
        RemoveNoops(),
        build([(1, 5)], lambda x: op.take(x, build.const(np.arange(5).reshape(1, 5, 1), "int64"), 1)),
        build([(1, 5)], lambda x: op.reshape(x, [1, 1, 5, 1])),
    )


def test_other_places_are_taken(build, unchanged):
    for places in ([1, 0, 2, 3, 4], [0, 1, 2, 3]):
        unchanged(RemoveNoops(), build([(1, 5)], lambda x, at=places: op.take(x, build.const(at, "int64"), 1)))


def test_integers_are_folded_but_not_rounded(build, becomes, unchanged):
    def module(operator, dtype="int64"):
        return build(
            [(3,)],
            lambda x: op.add(x, build.e(operator(build.const([7, 8, 9], dtype), build.const(2, dtype)))),
            dtype,
        )

    becomes(
        FoldConstants(), module(op.add), build([(3,)], lambda x: op.add(x, build.const([9, 10, 11], "int64")), "int64")
    )
    unchanged(FoldConstants(), module(op.divide))
