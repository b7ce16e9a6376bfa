"""SinkDepthToSpace: pixels come out of channels behind what computes by element."""

import numpy as np
import pytest
from tvm import relax
from tvm.relax import op

from octet.passes import ops
from octet.passes.canonicalize.depth_to_space.sink_depth_to_space import SinkDepthToSpace

SHAPE = [(2, 12, 3, 5)]  # Two channels in phases of 2 rows and 3 columns.


def pixels(x):
    return ops.call("octet.depth_to_space", [x], strides=[2, 3])


def test_bias_and_activation_come_in_front(build, becomes, preserves):
    bias, slope = build.random(1, 2, 1, 1), build.random(2, seed=1)

    def body(turned):
        def made(x):
            first, last = (build.e, lambda y: pixels(build.e(y))) if turned else (lambda x: build.e(pixels(x)), build.e)
            repeated = [np.concatenate([value] * (6 if turned else 1), axis) for value, axis in ((bias, 1), (slope, 0))]
            y = build.e(op.add(x if turned else first(x), build.const(repeated[0])))
            return last(
                op.nn.prelu(
                    build.e(op.nn.relu(build.e(op.multiply(y, build.const(np.float32(3)))))),
                    build.const(repeated[1]),
                    1,
                )
            )

        return build(SHAPE, made)

    becomes(SinkDepthToSpace(), body(False), body(True))
    preserves(SinkDepthToSpace(), body(False))


def test_a_slice_of_rows_and_columns_goes_along(build, becomes):
    kept = lambda x: op.strided_slice(build.e(pixels(x)), [2, 3], [0, 0], [5, 14])
    before = build(SHAPE, lambda x: op.nn.relu(build.e(kept(x))))
    becomes(SinkDepthToSpace(), before, build(SHAPE, lambda x: kept(build.e(op.nn.relu(x)))))


def test_two_that_are_turned_alike_meet(build, becomes):
    two = SHAPE * 2
    before = build(two, lambda x, y: op.maximum(build.e(pixels(x)), build.e(pixels(y))))
    becomes(SinkDepthToSpace(), before, build(two, lambda x, y: pixels(build.e(op.maximum(x, y)))))


@pytest.mark.parametrize(
    "why",
    ["another operand", "differs by pixel", "read twice", "channels apart", "a slice of channels", "truths", "uint8"],
)
def test_does_not_apply(build, unchanged, why):
    """An operand that is not so moved, a constant per pixel, a second reader, what keeps no pixel by itself, or a type
    of which pixels are not moved."""
    other, whole = (2, 2, 6, 15), build.const(build.random(2, 2, 6, 15))

    def body(x, y):
        moved = build.e(pixels(x))
        sliced = lambda: build.e(op.strided_slice(moved, [1], [0], [1]))
        step, zero = relax.const(np.float32(0.1)), relax.const(np.uint8(9))
        return {
            "truths": lambda: op.greater(moved, build.const(np.float32(0))),
            "uint8": lambda: op.quantize(moved, step, zero, axis=-1, out_dtype="uint8"),
            "another operand": lambda: op.add(moved, y),
            "differs by pixel": lambda: op.add(moved, whole),
            "read twice": lambda: op.add(build.e(op.nn.relu(moved)), build.e(op.exp(moved))),
            "channels apart": lambda: op.nn.softmax(moved, 1),
            "a slice of channels": lambda: op.nn.relu(sliced()),
        }[why]()

    unchanged(SinkDepthToSpace(), build([*SHAPE, other], body))
