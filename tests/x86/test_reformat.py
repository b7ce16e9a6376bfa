"""Reformat kernels, with quantize and dequantize, byte for byte against NumPy, for channel counts that no block
divides."""

import numpy as np
import pytest
import tvm
from hypothesis import given, settings, strategies as st

from octet.targets import detect
from octet.targets.x86.isa import building_for
from octet.targets.x86.layout import Layout
from octet.targets.x86.movement.pixels import ConcatProblem, concat
from octet.targets.x86.reformat.choose import ReformatProblem, reformat
from octet.targets.x86.reformat.constant import pack_constant

SCALE, ZERO_POINT, GUARD = np.float32(0.0371), 5, 99


def _converted(array, target):
    if str(array.dtype) == target:
        return array
    if target == "int8":
        return np.clip(np.rint(array / SCALE) + ZERO_POINT, -128, 127).astype(np.int8)
    return (array.astype(np.int32) - ZERO_POINT).astype(np.float32) * SCALE


def _run(problem, array):
    return _called(reformat, problem, pack_constant(problem.source, array))


def _called(kernel, problem, *arrays):
    spec = detect.native()
    with building_for(spec.dot):
        func = kernel(problem)
    library = tvm.compile(func, target=spec.tvm_target())
    out = tvm.runtime.tensor(np.full(problem.target.physical_shape, GUARD, problem.target.storage))
    library[str(func.attrs["global_symbol"])](*map(tvm.runtime.tensor, arrays), out)
    return out.numpy()


def _check(problem, array):
    got, layout = _run(problem, array), problem.target
    wanted = pack_constant(layout, _converted(array, layout.dtype))
    if layout.kind == "plain":
        np.testing.assert_array_equal(got, wanted)
        return
    used = layout.pixels * layout.channel_stride
    logical = [
        flat[:used].reshape(layout.pixels, layout.channel_stride)[:, : layout.channels] for flat in (got, wanted)
    ]
    np.testing.assert_array_equal(*logical)
    assert (got[used:] == GUARD).all(), "the kernel wrote into the slack"


DTYPES = st.sampled_from(["int8", "float32"])


@settings(max_examples=9, derandomize=True, deadline=None)
@given(
    DTYPES,
    DTYPES,
    st.sampled_from([("plain", "nhwc"), ("nhwc", "plain"), ("nhwc", "nhwc")]),
    st.integers(1, 2),
    st.integers(1, 70),
    st.integers(1, 9),
    st.integers(1, 9),
)
def test_images(source, target, kinds, n, c, h, w):
    shape = (n, c, h, w)
    rng = np.random.default_rng(c)
    array = (
        rng.integers(-128, 128, shape).astype(np.int8)
        if source == "int8"
        else (rng.standard_normal(shape) * 3).astype(np.float32)
    )
    _check(
        ReformatProblem(Layout(kinds[0], shape, source), Layout(kinds[1], shape, target), float(SCALE), ZERO_POINT),
        array,
    )


@settings(max_examples=7, derandomize=True, deadline=None)
@given(
    DTYPES,
    DTYPES,
    st.sampled_from([("plain", "rows"), ("rows", "plain"), ("rows", "rows")]),
    st.integers(1, 5),
    st.integers(1, 150),
)
def test_rows(source, target, kinds, rows, channels):
    shape = (rows, channels)
    rng = np.random.default_rng(channels)
    array = (
        rng.integers(-128, 128, shape).astype(np.int8)
        if source == "int8"
        else (rng.standard_normal(shape) * 3).astype(np.float32)
    )
    _check(
        ReformatProblem(Layout(kinds[0], shape, source), Layout(kinds[1], shape, target), float(SCALE), ZERO_POINT),
        array,
    )


def test_no_float_lies_behind_channels_as_another_tensor_left_it():
    """It would be computed with: bytes of int8 are denormal numbers, which are slow."""
    rows = [Layout("rows", (5, channels), "float32") for channels in (25, 17)]
    array = np.ones((5, 25), np.float32)
    copied = _run(ReformatProblem(Layout("plain", (5, 25), "float32"), rows[0]), array)
    padded = [pack_constant(layout, np.full(layout.shape, value, np.float32)) for layout, value in zip(rows, (1, 2))]
    joined = _called(concat, ConcatProblem(tuple(rows), 1), *padded)
    for got, channels in ((copied, (1,) * 25), (joined, (1,) * 25 + (2,) * 17)):
        stride = -(-len(channels) // 16) * 16
        pixels = got[: 5 * stride].reshape(5, stride)
        assert (pixels[:, : len(channels)] == channels).all() and not pixels[:, len(channels) :].any()


@pytest.mark.parametrize("scale", [0.1, 1 / 3, 0.0123456, 7.0])
def test_quantize_divides_exactly_near_ties(scale):
    """The quotient is made of a reciprocal and two corrections: it must round as x / scale does, also one ulp from
    every tie and beyond the range."""
    scale = np.float32(scale)
    ties = ((np.arange(-300, 300) + np.float32(0.5)) * scale).astype(np.float32)
    values = np.concatenate(
        [
            ties,
            np.nextafter(ties, np.float32(np.inf)),
            np.nextafter(ties, np.float32(-np.inf)),
            np.float32([0, 1e30, -1e30, 3e38, np.inf, -np.inf]),
        ]
    )
    values = np.resize(values, (1, 4, 22, 22)).astype(np.float32)
    problem = ReformatProblem(
        Layout("plain", values.shape, "float32"), Layout("plain", values.shape, "int8"), float(scale), 0
    )
    got = _run(problem, values).astype(np.int16) - 128
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(got, np.clip(np.rint(values / scale), -128, 127))
