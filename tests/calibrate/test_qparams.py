"""Range -> scale and zero point."""

import numpy as np
from hypothesis import given, settings, strategies as st

from octet.passes.calibrate.qparams import LIMITS, SMALLEST_SCALE, choose, codes_of

from .conftest import dequantize

finite = st.floats(min_value=-(2.0**100), max_value=2.0**100, width=32)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(finite, finite, st.sampled_from(["affine", "symmetric"]))
def test_zero_is_exact_and_the_range_is_covered(a, b, scheme):
    low, high = min(a, b), max(a, b)
    p = choose(low, high, scheme)
    assert p.scale >= SMALLEST_SCALE and np.float32(p.scale) == p.scale
    assert LIMITS[scheme][0] <= p.zero_point <= LIMITS[scheme][1]
    assert scheme == "affine" or p.zero_point == 0
    assert dequantize(codes_of(np.float32([0.0]), p), p)[0] == 0.0
    ends = np.float32([low, high])
    assert np.all(np.abs(dequantize(codes_of(ends, p), p) - ends) <= p.scale * 1.001)


def test_known_values():
    p = choose(0.0, 255.0, "affine")
    assert (p.scale, p.zero_point) == (1.0, -128)
    assert (choose(-127.0, 5.0, "symmetric").scale, choose(-1.0, 254.0, "affine").zero_point) == (1.0, -127)
    assert p.range == (0.0, 255.0)


def test_constant_tensors():
    assert choose(0.0, 0.0, "affine").scale == 1.0
    assert dequantize(codes_of(np.float32([3.0]), choose(3.0, 3.0, "affine")), choose(3.0, 3.0, "affine"))[
        0
    ] == np.float32(3.0)
    assert choose(0.0, 1e-45, "symmetric").scale == SMALLEST_SCALE


def test_rounds_to_even_and_saturates():
    p = choose(-127.0, 127.0, "symmetric")
    assert codes_of(np.float32([0.5, 1.5, 2.5, -0.5, 1000.0, -1000.0]), p).tolist() == [0, 2, 2, 0, 127, -127]
