"""Merging of clips, and the functions that clips are part of."""

import math

import numpy as np
import pytest
from tvm.relax import op

from octet.passes.canonicalize.merge_clips import MergeClips
from octet.passes.canonicalize.recognize_hard import RecognizeHard


def test_relu_then_clip_is_one_clip(build, becomes):
    before = build([(2, 8)], lambda x: op.clip(build.e(op.nn.relu(x)), -1.0, 6.0))
    becomes(MergeClips(), before, build([(2, 8)], lambda x: op.clip(x, 0.0, 6.0)))


def test_clip_at_zero_without_upper_bound_is_relu(build, becomes):
    before = build([(2, 8)], lambda x: op.clip(x, 0.0, math.inf))
    becomes(MergeClips(), before, build([(2, 8)], op.nn.relu))


@pytest.mark.parametrize(
    "inner, outer", [((-1.0, 2.0), (0.0, 1.0)), ((0.0, 1.0), (2.0, 3.0)), ((2.0, 3.0), (-1.0, 1.0))]
)
def test_any_two_clips_are_one_of_the_same_values(build, preserves, becomes, inner, outer):
    before = build([(4, 8)], lambda x: op.clip(build.e(op.clip(x, *inner)), *outer))
    preserves(MergeClips(), before)
    becomes(MergeClips(), before, build([(4, 8)], lambda x: op.clip(x, *np.clip(inner, *outer).tolist())))


def test_clips_apart_stay(build, unchanged):
    unchanged(MergeClips(), build([(2, 8)], lambda x: op.nn.relu(build.e(op.add(build.e(op.nn.relu(x)), x)))))


def hard(build, x, slope=1.0):
    line = x if slope == 1.0 else build.e(op.multiply(x, build.const(slope)))
    return build.e(op.clip(build.e(op.add(line, build.const(3))), 0.0, 6.0))


SIXTH = float(np.float32(1 / 6))


def test_scaled_clip_is_hard_sigmoid(build, preserves, becomes):
    before = build([(4, 8)], lambda x: op.multiply(hard(build, x), build.const(1 / 6)))
    preserves(RecognizeHard(), before)
    expected = build([(4, 8)], lambda x: build.unary("hard_sigmoid", x, alpha=SIXTH, beta=3 * SIXTH))
    becomes(RecognizeHard(), before, expected)


def test_clipped_line_is_hard_sigmoid(build, becomes):
    def line(x):
        return build.e(op.add(build.e(op.multiply(x, build.const(0.25))), build.const(0.5)))

    expected = build([(4, 8)], lambda x: build.unary("hard_sigmoid", x, alpha=0.25, beta=0.5))
    becomes(RecognizeHard(), build([(4, 8)], lambda x: op.clip(line(x), 0.0, 1.0)), expected)


@pytest.mark.parametrize("divide_first", [True, False])
def test_both_spellings_of_hard_swish(build, preserves, becomes, divide_first):
    def body(x):
        if divide_first:
            return op.multiply(x, build.e(op.multiply(hard(build, x), build.const(1 / 6))))
        return op.multiply(build.e(op.multiply(x, hard(build, x))), build.const(1 / 6))

    preserves(RecognizeHard(), build([(4, 8)], body))
    becomes(RecognizeHard(), build([(4, 8)], body), build([(4, 8)], lambda x: build.unary("hard_swish", x)))


def test_other_slopes_and_bounds_are_not_hard_swish(build, unchanged):
    unchanged(
        RecognizeHard(),
        build([(4, 8)], lambda x: op.multiply(build.e(op.multiply(x, hard(build, x, 2.0))), build.const(1 / 6))),
    )
    unchanged(RecognizeHard(), build([(4, 8)], lambda x: op.clip(x, 0.0, 1.0)))
