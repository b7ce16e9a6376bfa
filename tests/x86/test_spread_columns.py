"""First layers of one channel, whose kernels' columns become channels: the same bytes on every level."""

import sys
from pathlib import Path

import numpy as np
import pytest
from tvm import relax

from octet.passes import ops
from octet.passes.lower.cpu import spread_columns
from octet.passes.referee.reference import run
from octet.targets.x86.layout import Layout

sys.path.insert(0, str(Path(__file__).parent))
from here import session_here
from rule_harness import build, dequantize, network, quantize, samples

RANDOM = np.random.default_rng(3)
INT8 = {"clip_min": -128, "clip_max": 127, "out_dtype": "int8", "out_zero_point": 3, "data_zero_point": 3}


def _layer(shape, kernel, geometry):
    """(module, feed) of a layer of 32 results on images of one channel."""
    weight = relax.const(RANDOM.integers(-90, 90, (32, 1, *kernel)).astype("int8"))
    vectors = [relax.const(RANDOM.integers(-99, 99, 32).astype("int32")), relax.const(np.full(32, 1e-3, "float32"))]
    body = lambda b, x: dequantize(  # noqa: E731
        b, b.emit(ops.call("octet.conv2d", [quantize(b, x), weight, *vectors], **geometry, **INT8, groups=1))
    )
    return network({"x": shape}, body), samples({"x": shape})


def _channels(variant):
    [workload] = [step.workload for step in variant.steps if step.operator == "octet.conv2d"]
    return int(workload.replace(" ", "").partition('"channels":')[2].partition(",")[0])


@pytest.mark.parametrize(
    "target, kernel, geometry",
    [
        ("native", (3, 3), {"strides": [1, 1], "padding": [1, 1, 1, 1], "dilation": [1, 1]}),
        ("x86-64-v3", (2, 4), {"strides": [1, 2], "padding": [0, 3, 1, 0], "dilation": [2, 1]}),
        ("native", (5, 2), {"strides": [2, 1], "padding": [2, 0, 2, 0], "dilation": [1, 1]}),
    ],
)
def test_columns_become_channels(monkeypatch, target, kernel, geometry):
    monkeypatch.setattr(spread_columns, "_MULTIPLY_ADDS", 0)
    module, feed = _layer((2, 1, 9, 21), kernel, geometry)
    variant = build(module, feed, target)
    np.testing.assert_array_equal(session_here(variant).run(feed)["out0"], run(module, feed)[0])
    assert _channels(variant) == kernel[1]


@pytest.mark.parametrize(
    "least, channels, kernel, dilation, spread",
    [(0, 1, (3, 3), 1, True), (1 << 22, 1, (3, 3), 1, False), (0, 1, (3, 5), 1, False), (0, 1, (3, 3), 2, False)]
    + [(0, 2, (3, 3), 1, False), (0, 1, (3, 1), 1, False)],
)
def test_small_layers_and_other_kernels_stay_as_they_are(monkeypatch, least, channels, kernel, dilation, spread):
    monkeypatch.setattr(spread_columns, "_MULTIPLY_ADDS", least)
    attrs = {"strides": [1, 1], "dilation": [1, dilation], "groups": 1}
    layout = Layout("nhwc", (1, channels, 9, 21), "int8")
    assert spread_columns.spreads(layout, (32, channels, *kernel), attrs) == spread
