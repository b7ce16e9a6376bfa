"""Reductions over the channels through lowering, exactly as the referee."""

import sys
from pathlib import Path

import pytest
from tvm import relax

sys.path.insert(0, str(Path(__file__).parent))
from rule_harness import check  # noqa: E402

R = relax.op


@pytest.mark.parametrize("shape", [(3, 1000), (2, 5, 33), (4, 7), (4, 16)])
def test_last_axis(shape):
    check({"x": shape}, lambda b, x: [b.emit(f(x, axis=-1)) for f in (R.nn.softmax, R.nn.log_softmax, R.argmax, R.argmin, R.mean, R.sum)])


def test_channels_of_an_image():
    check({"x": (2, 37, 4, 5)}, lambda b, x: [b.emit(f(x, axis=1)) for f in (R.nn.softmax, R.nn.log_softmax, R.argmax)])
