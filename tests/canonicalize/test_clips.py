"""Merging of clips, and the functions that clips are part of."""

import math

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
def test_any_two_clips_keep_their_values(build, preserves, names, inner, outer):
    after = preserves(MergeClips(), build([(4, 8)], lambda x: op.clip(build.e(op.clip(x, *inner)), *outer)))
    assert names(after) == ["clip"]


def test_clips_apart_stay(build, unchanged):
    unchanged(MergeClips(), build([(2, 8)], lambda x: op.nn.relu(build.e(op.add(build.e(op.nn.relu(x)), x)))))


def hard(build, x, slope=1.0):
    line = x if slope == 1.0 else build.e(op.multiply(x, build.const(slope)))
    return build.e(op.clip(build.e(op.add(line, build.const(3))), 0.0, 6.0))


def test_scaled_clip_is_hard_sigmoid(build, preserves, names):
    before = build([(4, 8)], lambda x: op.multiply(hard(build, x), build.const(1 / 6)))
    assert names(preserves(RecognizeHard(), before)) == ["hard_sigmoid"]


def test_clipped_line_is_hard_sigmoid(build, preserves, names):
    def line(x):
        return build.e(op.add(build.e(op.multiply(x, build.const(0.2))), build.const(0.5)))

    assert names(preserves(RecognizeHard(), build([(4, 8)], lambda x: op.clip(line(x), 0.0, 1.0)))) == ["hard_sigmoid"]


@pytest.mark.parametrize("divide_first", [True, False])
def test_both_spellings_of_hard_swish(build, preserves, names, divide_first):
    def body(x):
        if divide_first:
            return op.multiply(x, build.e(op.multiply(hard(build, x), build.const(1 / 6))))
        return op.multiply(build.e(op.multiply(x, hard(build, x))), build.const(1 / 6))

    assert names(preserves(RecognizeHard(), build([(4, 8)], body))) == ["hard_swish"]


def test_other_slopes_and_bounds_are_not_hard_swish(build, unchanged):
    unchanged(
        RecognizeHard(),
        build([(4, 8)], lambda x: op.multiply(build.e(op.multiply(x, hard(build, x, 2.0))), build.const(1 / 6))),
    )
    unchanged(RecognizeHard(), build([(4, 8)], lambda x: op.clip(x, 0.0, 1.0)))
