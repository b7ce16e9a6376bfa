"""octet.resize2d through lowering, against the referee."""

import sys
from pathlib import Path

import pytest
from tvm import relax

from octet.passes import ops
from octet.passes.referee.resize import whole_taps

sys.path.insert(0, str(Path(__file__).parent))
from rule_harness import check, dequantize, quantize

CASES = [
    ((2, 37, 5, 6), (10, 18), "half_pixel"),
    ((1, 3, 8, 9), (3, 7), "asymmetric"),
    ((1, 130, 7, 1), (13, 5), "align_corners"),
    ((1, 70, 3, 2), (3, 32), "pytorch_half_pixel"),
    ((3, 16, 4, 4), (6, 3), "tf_half_pixel_for_nn"),
]


@pytest.mark.parametrize("shape, result, mode", CASES)
@pytest.mark.parametrize("target", ["amx", "x86-64-v3"])
def test_interpolation(shape, result, mode, target):
    (rows, row_units), (columns, column_units) = (whole_taps(old, new, mode) for old, new in zip(shape[2:], result))
    attrs = {
        "row_units": row_units,
        "column_units": column_units,
        "data_zero_point": 3,
        "out_zero_point": 1,
        "clip_min": -100,
        "clip_max": 99,
    }

    def body(b, x):
        call = ops.call(
            "octet.resize2d",
            [quantize(b, x), relax.const(rows), relax.const(columns)],
            multiplier=1.2 / row_units / column_units,
            **attrs,
        )
        return [dequantize(b, b.emit(call))]

    check({"x": shape}, body, target=target)
