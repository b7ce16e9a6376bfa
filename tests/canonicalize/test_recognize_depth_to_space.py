"""RecognizeDepthToSpace: reshapes and a transpose of rank 6 that put channels between the pixels are one operator."""

import numpy as np
import pytest
from tvm.relax import op

from octet.passes import ops
from octet.passes.canonicalize.depth_to_space.recognize_depth_to_space import RecognizeDepthToSpace

SHAPE = [(2, 6, 5, 4)]
OUTSIDE, INSIDE = ([2, 3, 2, 1, 5, 4], [0, 3, 4, 1, 5, 2]), ([2, 1, 3, 2, 5, 4], [0, 1, 4, 2, 5, 3])


def shuffled(build, x, blocks, axes, result=(2, 1, 15, 8)):
    return op.reshape(build.e(op.permute_dims(build.e(op.reshape(x, blocks)), axes)), result)


def pixels(x):
    return ops.call("octet.depth_to_space", [x], strides=[3, 2])


def test_phases_outside(build, becomes, preserves):
    before = build(SHAPE, lambda x: shuffled(build, x, *OUTSIDE))
    becomes(RecognizeDepthToSpace(), before, build(SHAPE, pixels))
    preserves(RecognizeDepthToSpace(), before)


def test_phases_inside_reorder_the_convolution_that_makes_them(build, becomes, preserves):
    """Twelve channels, two of the result: its channels come together phase by phase, the bias with them."""
    w, bias = build.random(12, 6, 3, 3), build.random(12, 1, 1, seed=1)
    order = [0, 6, 1, 7, 2, 8, 3, 9, 4, 10, 5, 11]

    def layer(x, w, bias):
        y = build.e(op.add(build.e(op.nn.conv2d(x, build.const(w))), build.const(bias)))
        return build.e(op.multiply(build.e(op.nn.relu(y)), build.const(np.float32(2))))

    inside = ([2, 2, 3, 2, 3, 2], INSIDE[1], (2, 2, 9, 4))
    before = build(SHAPE, lambda x: shuffled(build, layer(x, w, bias), *inside))
    becomes(RecognizeDepthToSpace(), before, build(SHAPE, lambda x: pixels(layer(x, w[order], bias[order]))))
    preserves(RecognizeDepthToSpace(), before)


@pytest.mark.parametrize("why", ["no layer makes it", "read twice", "another transpose", "another shape", "in groups"])
def test_does_not_apply(build, unchanged, why):
    """Phases innermost behind what has no weights to reorder, a transpose of something else, a second reader."""
    w = build.const(build.random(6, 2, 1, 1))

    def body(x):
        if why == "no layer makes it":
            return shuffled(build, build.e(op.nn.relu(x)), *INSIDE)
        if why == "in groups":
            return shuffled(build, build.e(op.nn.conv2d(x, w, groups=3)), *INSIDE)
        if why == "another transpose":
            return shuffled(build, x, OUTSIDE[0], [0, 3, 5, 1, 4, 2], (2, 1, 12, 10))
        if why == "another shape":
            return shuffled(build, x, *OUTSIDE, (2, 3, 5, 8))
        blocks = build.e(op.reshape(x, OUTSIDE[0]))
        return [op.reshape(build.e(op.permute_dims(blocks, OUTSIDE[1])), (2, 1, 15, 8)), op.exp(blocks)]

    unchanged(RecognizeDepthToSpace(), build(SHAPE, body))
