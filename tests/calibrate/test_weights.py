"""Scales of weights."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from octet.passes.calibrate.weights import quantize_weight, weight_scales


@settings(max_examples=50, derandomize=True, deadline=None)
@given(st.integers(1, 5), st.integers(1, 4), st.integers(0, 2**31), st.sampled_from([0, 1, -1]))
def test_every_weight_is_within_half_a_step(rows, columns, seed, axis):
    w = np.random.default_rng(seed).standard_normal((rows, columns)).astype(np.float32)
    scales = weight_scales(w, axis, 0.1, None)
    assert scales.shape == ((w.shape[axis] if axis >= 0 else 1),) and scales.dtype == np.float32
    q = quantize_weight(w, scales, axis)
    assert q.dtype == np.int8 and q.min() >= -127
    wide = scales.reshape([-1, 1] if axis == 0 else [1, -1])
    assert np.all(np.abs(q * wide - w) <= wide * 0.5001)


def test_all_zero_channel_still_resolves_its_bias():
    w = np.array([[1.0, 0.0], [0.5, 0.0]], np.float32)
    scales = weight_scales(w, 1, 0.5, np.array([0.1, 0.3], np.float32))
    step = 0.5 * float(scales[1])
    assert abs(np.rint(0.3 / step) * step - 0.3) < 1e-6
    assert scales[0] == np.float32(0.5) / np.float32(63)  # The weights 1 and 0.5 lie on a grid.


@pytest.mark.parametrize("bias", [None, np.zeros(2, np.float32)])
def test_all_zero_weights(bias):
    scales = weight_scales(np.zeros((3, 2), np.float32), 1, 0.5, bias)
    assert np.all(scales > 0) and not quantize_weight(np.zeros((3, 2), np.float32), scales, 1).any()


def test_a_bias_never_overflows_int32():
    scales = weight_scales(np.full((1, 1), 1e-9, np.float32), 1, 1e-6, np.array([1e4], np.float32))
    assert 1e4 / (1e-6 * float(scales[0])) < 2**31
