"""Reductions over the channels through lowering, exactly as the referee."""

import sys
from pathlib import Path

import pytest
from tvm import relax

from octet.passes import ops
from octet.targets.softmax_table import softmax_table

sys.path.insert(0, str(Path(__file__).parent))
from rule_harness import check, dequantize, quantize

R = relax.op


@pytest.mark.parametrize("shape", [(3, 1000), (2, 5, 33), (4, 7), (4, 16)])
def test_last_axis(shape):
    check(
        {"x": shape},
        lambda b, x: [
            b.emit(f(x, axis=-1)) for f in (R.nn.softmax, R.nn.log_softmax, R.argmax, R.argmin, R.mean, R.sum)
        ],
    )


def test_channels_of_an_image():
    check({"x": (2, 37, 4, 5)}, lambda b, x: [b.emit(f(x, axis=1)) for f in (R.nn.softmax, R.nn.log_softmax, R.argmax)])


@pytest.mark.parametrize("shape", [(3, 1000), (2, 5, 33), (4, 7), (2, 3, 5, 3), (1, 2, 9, 64)])
@pytest.mark.parametrize("levels, zero_point", [(127, 0), (255, -128)])
@pytest.mark.parametrize("target", ["amx", "x86-64-v3"])
def test_by_table(shape, levels, zero_point, target):
    def body(b, x):
        call = ops.call(
            "octet.softmax",
            [quantize(b, x), relax.const(softmax_table(0.05))],
            levels=levels,
            out_zero_point=zero_point,
        )
        return [dequantize(b, b.emit(call))]

    check({"x": shape}, body, target=target)
