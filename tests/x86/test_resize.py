"""Images between their pixels, through lowering: octet.resize2d against the referee, grid_sample against float64."""

import sys
from pathlib import Path

import numpy as np
import pytest
from tvm import relax

from octet.passes import ops
from octet.passes.referee.resize import whole_taps

sys.path.insert(0, str(Path(__file__).parent))
from rule_harness import check, compiled, dequantize, network, quantize

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


def _sampled(x, places, corners, border):
    (n, _, h, w), y = x.shape, np.zeros((*x.shape[:2], *places.shape[2:]))
    for image, *where in np.ndindex(n, *places.shape[2:]):
        across, down = (
            np.clip((places[image, axis, *where] + 1.0) * (size - corners) / 2 - (0 if corners else 0.5), -2, size + 1)
            for axis, size in enumerate((w, h))
        )
        for i in (np.floor(down), np.floor(down) + 1):
            for j in (np.floor(across), np.floor(across) + 1):
                inside = 0 <= i < h and 0 <= j < w
                pixel = x[image, :, int(np.clip(i, 0, h - 1)), int(np.clip(j, 0, w - 1))]
                share = max(0, 1 - abs(down - i)) * max(0, 1 - abs(across - j))
                y[(image, slice(None), *where)] += pixel * share * (border or inside)
    return y


@pytest.mark.parametrize("target", ["native", "x86-64-v3"])
def test_places_within_and_beyond_the_image(target):
    rng = np.random.default_rng(1)
    inputs = {
        "x": rng.normal(size=(2, 37, 4, 6)).astype("float32"),
        "places": rng.uniform(-1.8, 1.8, (2, 2, 5, 9)).astype("float32"),
    }
    # There are corners, and places beyond every integer.
    inputs["places"][0, :, 0, :3] = [[-1, 1, 1e30], [1, -1, -1e30]]
    cases = [(False, "zeros"), (True, "border")]

    def body(b, x, places):
        return [b.emit(relax.op.image.grid_sample(x, places, "bilinear", "NCHW", each[1], each[0])) for each in cases]

    module = network({name: array.shape for name, array in inputs.items()}, body)
    got, without = compiled(module, inputs, target)
    assert not without
    for (corners, padding), actual in zip(cases, got, strict=True):
        wanted = _sampled(*inputs.values(), corners, padding == "border")
        np.testing.assert_allclose(actual, wanted, rtol=1e-5, atol=1e-5)
