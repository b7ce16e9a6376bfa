"""Convolutions along the rows of images one pixel wide, which are computed along columns."""

import sys
from pathlib import Path

import numpy as np
import pytest
from tvm import relax

from octet.passes import ops
from octet.passes.referee.reference import run

sys.path.insert(0, str(Path(__file__).parent))
from here import session_here
from rule_harness import build, dequantize, network, quantize, samples

RANDOM = np.random.default_rng(2)
FLOAT = {"clip_min": float("-inf"), "clip_max": float("inf"), "out_dtype": "float32"}
INT8 = {"clip_min": -128, "clip_max": 127, "out_dtype": "int8", "out_zero_point": 3, "data_zero_point": 3}


def _conv(b, x, channels, geometry, groups=1):
    weight = RANDOM.integers(-90, 90, (32, channels // groups, 5, 1)).astype("int8")
    vectors = [relax.const(RANDOM.integers(-99, 99, 32).astype("int32")), relax.const(np.full(32, 1e-3, "float32"))]
    attrs = geometry | INT8 | {"groups": groups}
    return b.emit(ops.call("octet.conv2d", [quantize(b, x), relax.const(weight), *vectors], **attrs))


@pytest.mark.parametrize("channels, groups", [(20, 1), (32, 32)])
@pytest.mark.parametrize(
    "geometry",
    [
        {"strides": [1, 1], "padding": [2, 0, 2, 0], "dilation": [1, 1]},
        {"strides": [2, 1], "padding": [0, 0, 3, 0], "dilation": [2, 1]},
    ],
)
def test_a_column_of_pixels(channels, groups, geometry):
    shapes = {"x": (2, channels, 40, 1)}
    module = network(shapes, lambda b, x: dequantize(b, _conv(b, x, channels, geometry, groups)))
    feed = samples(shapes)
    variant = build(module, feed)
    np.testing.assert_array_equal(session_here(variant).run(feed)["out0"], run(module, feed)[0])
    workloads = [step.workload for step in variant.steps if step.operator == "octet.conv2d"]
    assert '"width":40' in workloads[0].replace(" ", "")


def test_a_column_that_is_padded_on_its_sides_stays_one():
    geometry = {"strides": [1, 1], "padding": [2, 1, 2, 1], "dilation": [1, 1]}
    shapes = {"x": (1, 20, 40, 1)}
    module = network(shapes, lambda b, x: dequantize(b, _conv(b, x, 20, geometry)))
    feed = samples(shapes)
    variant = build(module, feed)
    np.testing.assert_array_equal(session_here(variant).run(feed)["out0"], run(module, feed)[0])
    assert '"width":1}' in variant.steps[1].workload.replace(" ", "")
