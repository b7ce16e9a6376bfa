"""Convolutions and poolings: ConvertTransposedConv, FoldPad, NormalizePooling, NormalizeDense."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from tvm.relax import op

from octet.passes import ops
from octet.passes.canonicalize.depth_to_space.convert_transposed_conv import ConvertTransposedConv
from octet.passes.canonicalize.fold_pad import FoldPad
from octet.passes.canonicalize.normalize_dense import NormalizeDense
from octet.passes.canonicalize.normalize_pooling import NormalizePooling
from octet.passes.referee import reference
from octet.passes.rewriting.rule import notes_of

SHAPE = [(2, 6, 7, 5)]


def transposed(x, w, strides, pads, extra, dilation, groups):
    """The definition: every input element adds a scaled kernel to the output. x [N, I, H, W], w [I, O/groups, kh,
    kw]."""
    n, i, height, width = x.shape
    o, kh, kw = w.shape[1:]
    full = [(e - 1) * s + d * (k - 1) + 1 for e, s, d, k in zip((height, width), strides, dilation, (kh, kw))]
    out = np.zeros((n, o * groups, full[0] + extra[0], full[1] + extra[1]))
    for c in range(i):
        group = c // (i // groups)
        for y in range(kh):
            for z in range(kw):
                rows = slice(y * dilation[0], y * dilation[0] + (height - 1) * strides[0] + 1, strides[0])
                columns = slice(z * dilation[1], z * dilation[1] + (width - 1) * strides[1] + 1, strides[1])
                out[:, group * o : (group + 1) * o, rows, columns] += x[:, c, None] * w[c, :, y, z].reshape(1, -1, 1, 1)
    return out[:, :, pads[0] : out.shape[2] - pads[2], pads[1] : out.shape[3] - pads[3]]


def two(low, high):
    return st.tuples(st.integers(low, high), st.integers(low, high))


@settings(max_examples=25, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kernel=two(1, 4),
    strides=two(1, 3),
    dilation=two(1, 2),
    begin=two(0, 2),
    end=two(0, 2),
    groups=st.sampled_from([1, 2, 3]),
    data=st.data(),
)
def test_transposed_convolution(build, kernel, strides, dilation, begin, end, groups, data):
    extra = tuple(data.draw(st.integers(0, s - 1)) for s in strides)
    pads = [*begin, *end]
    x, w = build.random(1, 6, 5, 4), build.random(6, 2, *kernel, seed=1)
    want = transposed(x.astype("float64"), w.astype("float64"), strides, pads, extra, dilation, groups)
    if min(want.shape) < 1:
        return
    options = {
        "strides": list(strides),
        "padding": pads,
        "output_padding": list(extra),
        "dilation": list(dilation),
        "groups": groups,
    }
    after = ConvertTransposedConv()(build([x.shape], lambda v: op.nn.conv2d_transpose(v, build.const(w), **options)))
    (got,) = reference.run(after, {"x0": x})
    assert got.shape == want.shape
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-4)


def test_phases_of_a_transposed_convolution_are_channels_of_one(build, becomes):
    """Rows in two phases, whose taps are 0 and 2, and 1; columns in one, mirrored."""
    w = build.random(6, 3, 3, 2)
    before = build(SHAPE, lambda x: op.nn.conv2d_transpose(x, build.const(w), strides=[2, 1], padding=[0, 0, 1, 0]))

    def expected(x):
        phases = np.zeros((2, 3, 6, 2, 2), "float32")  # The first axis is the phase, the last two are the taps.
        rows = w.transpose(2, 1, 0, 3)[..., ::-1]
        phases[0, :, :, 1], phases[0, :, :, 0], phases[1, :, :, 1] = rows[0], rows[2], rows[1]
        made = build.e(op.nn.conv2d(x, build.const(phases.reshape(6, 6, 2, 2)), padding=[1, 1, 0, 1]))
        return ops.call("octet.depth_to_space", [made], strides=[2, 1])

    becomes(ConvertTransposedConv(), before, build(SHAPE, expected))


def test_a_transposed_convolution_in_groups_is_one_on_zeros_between_the_pixels(build, becomes):
    w = build.random(6, 1, 2, 4)
    options = {"strides": [2, 3], "padding": [0, 1, 1, 2], "groups": 6}
    before = build(SHAPE, lambda x: op.nn.conv2d_transpose(x, build.const(w), **options))

    def expected(x):
        spread = build.e(ops.call("octet.interleave", [x], strides=[2, 3], fill=0))
        return op.nn.conv2d(spread, build.const(w[:, :, ::-1, ::-1].copy()), padding=[1, 2, 0, 1], groups=6)

    becomes(ConvertTransposedConv(), before, build(SHAPE, expected))


def test_transposed_convolution_of_computed_weights_stays_with_a_reason(build, unchanged):
    before = build([(1, 6, 5, 5), (6, 2, 3, 3)], lambda x, w: op.nn.conv2d_transpose(x, w))
    assert "at run time" in notes_of(unchanged(ConvertTransposedConv(), before))[0]


def conv(build, x, **options):
    return op.nn.conv2d(x, build.const(build.random(4, 6, 3, 3)), **options)


def test_padding_in_front_of_a_convolution_is_its_padding(build, becomes):
    before = build(SHAPE, lambda x: conv(build, build.e(op.nn.pad(x, [0, 0, 0, 0, 1, 2, 0, 3])), padding=[1, 1, 1, 1]))
    becomes(FoldPad(), before, build(SHAPE, lambda x: conv(build, x, padding=[2, 1, 3, 4])))


def test_padding_in_front_of_an_average_that_counts_it(build, preserves, becomes):
    before = build(SHAPE, lambda x: op.nn.avg_pool2d(build.e(op.nn.pad(x, [0, 0, 0, 0, 1, 1, 1, 1])), [3, 3], [2, 2]))
    preserves(FoldPad(), before)
    pool = lambda x: op.nn.avg_pool2d(x, [3, 3], [2, 2], [1, 1, 1, 1], count_include_pad=True)
    becomes(FoldPad(), before, build(SHAPE, pool))


SPATIAL, CHANNELS = [0, 0, 0, 0, 1, 1, 1, 1], [0, 0, 1, 1, 0, 0, 0, 0]


@pytest.mark.parametrize(
    "width, mode, value", [(SPATIAL, "constant", 1.0), (SPATIAL, "reflect", 0.0), (CHANNELS, "constant", 0.0)]
)
def test_other_paddings_stay(build, unchanged, width, mode, value):
    def body(x):
        y = build.e(op.nn.pad(x, width, mode, value))
        return op.nn.conv2d(y, build.const(build.random(4, int(y.ty.shape.values[1]), 3, 3)))

    unchanged(FoldPad(), build(SHAPE, body))


def test_a_mean_over_the_picture_has_one_form(build, becomes):
    expected = build(SHAPE, lambda x: op.reshape(build.e(op.mean(x, [2, 3], keepdims=True)), [2, 6]))
    becomes(NormalizePooling(), build(SHAPE, lambda x: op.mean(x, [-1, 2])), expected)


def test_a_window_of_the_whole_picture_is_the_mean(build, becomes):
    becomes(
        NormalizePooling(),
        build(SHAPE, lambda x: op.nn.avg_pool2d(x, [7, 5])),
        build(SHAPE, lambda x: op.mean(x, [2, 3], keepdims=True)),
    )


def test_the_maximum_of_the_picture_is_a_pooling(build, becomes):
    expected = build(SHAPE, lambda x: op.reshape(build.e(op.nn.max_pool2d(x, [7, 5])), [2, 6]))
    becomes(NormalizePooling(), build(SHAPE, lambda x: op.max(x, [2, 3])), expected)


def test_other_means_and_windows_stay(build, unchanged):
    unchanged(NormalizePooling(), build(SHAPE, lambda x: op.mean(x, [1], keepdims=True)))
    unchanged(NormalizePooling(), build(SHAPE, lambda x: op.nn.avg_pool2d(x, [7, 5], padding=[1, 1, 1, 1])))
    unchanged(NormalizePooling(), build([(2, 6, 5)], lambda x: op.mean(x, [2])))


def test_biases_have_one_shape_each(build, becomes):
    b, w = build.random(4, 1, 1), build.random(6, 4)
    becomes(
        NormalizeDense(),
        build(SHAPE, lambda x: op.add(build.e(conv(build, x)), build.const(b))),
        build(SHAPE, lambda x: op.add(build.e(conv(build, x)), build.const(b.reshape(1, 4, 1, 1)))),
    )
    becomes(
        NormalizeDense(),
        build(
            [(2, 3, 6)], lambda x: op.add(build.e(op.matmul(x, build.const(w[None]))), build.const(b.reshape(1, 1, 4)))
        ),
        build([(2, 3, 6)], lambda x: op.add(build.e(op.matmul(x, build.const(w))), build.const(b.reshape(4)))),
    )


def test_a_lone_number_behind_a_layer_becomes_a_bias(build, becomes):
    before = build(SHAPE, lambda x: op.add(build.e(conv(build, x)), build.const(0.5)))
    becomes(
        NormalizeDense(),
        before,
        build(SHAPE, lambda x: op.add(build.e(conv(build, x)), build.const(np.full((1, 4, 1, 1), 0.5)))),
    )


def test_a_lone_factor_is_a_scalar_behind_products_and_layers(build, becomes, unchanged):
    w, shape = build.random(6, 4), [(2, 3, 6), (2, 6, 5)]
    for factor in (np.float32(0.5), np.full(1, 0.5, np.float32), np.full((1, 1, 1), 0.5, np.float32)):
        for body in (
            lambda x, y, f: op.multiply(build.e(op.matmul(x, y)), build.const(f)),
            lambda x, y, f: op.multiply(build.e(op.matmul(x, build.const(w))), build.const(f)),
        ):
            before, after = (
                build(shape, lambda x, y, f=f, body=body: body(x, y, f)) for f in (factor, np.float32(0.5))
            )
            (becomes if factor.ndim else lambda step, old, _: unchanged(step, old))(NormalizeDense(), before, after)


def test_other_constants_stay(build, unchanged):
    unchanged(NormalizeDense(), build(SHAPE, lambda x: op.add(x, build.const(build.random(7, 5)))))
    unchanged(NormalizeDense(), build([(1, 4)], lambda x: op.add(x, build.const(build.random(3, 4)))))
