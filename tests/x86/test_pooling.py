"""Pooling through lowering, against the referee."""

import sys
from pathlib import Path

import pytest
from tvm import relax

from octet.passes import ops

sys.path.insert(0, str(Path(__file__).parent))
from rule_harness import check, dequantize, quantize

SHAPES = [(2, 37, 9, 10), (1, 3, 8, 9), (1, 130, 7, 7)]
WINDOWS = [
    ([3, 3], [2, 2], [1, 1, 1, 1]),
    ([3, 2], [1, 2], [1, 0, 2, 1]),
    ([7, 5], [1, 1], [3, 2, 3, 2]),
    ([7, 7], [1, 1], [0, 0, 0, 0]),
]
CASES = [
    (SHAPES[0], *WINDOWS[0]),
    (SHAPES[1], *WINDOWS[1]),
    (SHAPES[2], *WINDOWS[2]),
    (SHAPES[2], *WINDOWS[3]),
    (SHAPES[1], *WINDOWS[0]),
]


@pytest.mark.parametrize("shape, size, strides, padding", CASES)
def test_int8(shape, size, strides, padding):
    def average(b, x, counted):
        attrs = {
            "pool_size": size,
            "strides": strides,
            "padding": padding,
            "count_include_pad": counted,
            "data_zero_point": 3,
            "multiplier": 0.8,
            "out_zero_point": 1,
            "clip_min": -100,
            "clip_max": 99,
        }
        return dequantize(b, b.emit(ops.call("octet.avg_pool2d", [x], **attrs)))

    def body(b, x):
        x = quantize(b, x)
        return [
            average(b, x, 0),
            average(b, x, 1),
            dequantize(b, b.emit(relax.op.nn.max_pool2d(x, size, strides, padding))),
        ]

    check({"x": shape}, body)


@pytest.mark.parametrize("shape, size, strides, padding", CASES)
def test_float32(shape, size, strides, padding):
    """Exact: sums are in the referee's order."""
    pools = relax.op.nn
    check(
        {"x": shape},
        lambda b, x: [
            pools.max_pool2d(x, size, strides, padding),
            b.emit(pools.avg_pool2d(x, size, strides, padding, count_include_pad=True)),
            b.emit(pools.avg_pool2d(x, size, strides, padding)),
            b.emit(relax.op.mean(x, [2, 3], keepdims=True)),
            b.emit(relax.op.mean(x, [2, 3])),
        ],
    )


def test_ceil_mode_and_dilation():
    check(
        {"x": (1, 20, 12, 11)},
        lambda b, x: [
            relax.op.nn.max_pool2d(x, [3, 3], [2, 2], [1, 1, 1, 1], ceil_mode=True),
            b.emit(relax.op.nn.max_pool2d(x, [2, 2], [2, 2], [0, 0, 0, 0], [2, 2])),
        ],
    )
