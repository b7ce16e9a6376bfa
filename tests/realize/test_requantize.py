"""Scales, multipliers and clip bounds."""

import numpy as np
import pytest

from octet.passes.realize.requantize import TensorQParams, multiplier, qparams


def test_multiplier_is_rounded_once():
    a, b, c = np.float32(0.1), np.float32([0.3, 0.7]), np.float32(0.013)
    assert multiplier([a, b], c).tolist() == [np.float32(float(a) * float(v) / float(c)) for v in b]
    assert multiplier([a, b], c).dtype == np.float32 and multiplier([a]) == a


def test_quantize_rounds_half_to_even_and_saturates():
    params = TensorQParams(0.5, 3)
    assert params.quantize([0.25, 0.75, -0.25, 1e9, -1e9, np.inf]).tolist() == [3, 5, 3, 127, -128, 127]
    assert params.dequantize(np.int8([3, 5, -128])).tolist() == [0.0, 1.0, -65.5]
    assert params.bounds(0, np.inf) == (3, 127) and params.bounds(-np.inf, 6) == (-128, 15)


@pytest.mark.parametrize(
    ("scale", "zero_point"), [([0.1, 0.2], 0), (0.0, 0), (np.nan, 0), (-1.0, 0), (0.1, 200), (None, 0)]
)
def test_what_does_not_describe_an_int8_tensor(scale, zero_point):
    assert qparams(None if scale is None else np.float32(scale), np.int32(zero_point)) is None


def test_one_element_is_a_scalar():
    assert qparams(np.float32([[0.5]]), np.int8([3])) == TensorQParams(0.5, 3)
