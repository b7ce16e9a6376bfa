"""Running sums and the top k through lowering, exactly as the referee."""

import sys
from pathlib import Path

import numpy as np
import pytest
from tvm import relax

from octet.passes.referee.reference import run

sys.path.insert(0, str(Path(__file__).parent))
from rule_harness import check, compiled, network

R = relax.op


@pytest.mark.parametrize("shape, axis", [((2, 3, 50), -1), ((2, 30, 7), 1), ((4, 5, 3, 2), 0), ((9,), 0)])
@pytest.mark.parametrize("exclusive", [False, True])
def test_running_sums(shape, axis, exclusive):
    check({"x": shape}, lambda b, x: [b.emit(R.cumsum(x, axis, exclusive=exclusive))])


@pytest.mark.parametrize("shape, axis, k", [((2, 3, 50), -1, 5), ((2, 30, 7), 1, 30), ((4, 5), 0, 1), ((900,), 0, 17)])
@pytest.mark.parametrize("largest", [True, False])
def test_top_k(shape, axis, k, largest):
    check(
        {"x": shape},
        lambda b, x: [b.emit(R.topk(x, k, axis, kind, largest, "int64")) for kind in ("values", "indices")],
    )


def test_ties_infinities_and_nan():
    x = np.array([[1, 3, 3, -np.inf, 3, np.nan], [np.nan, -np.inf, -np.inf, 0, 0, np.inf]], np.float32)
    module = network(
        {"x": x.shape}, lambda b, x: [b.emit(R.topk(x, 6, -1, kind, True, "int64")) for kind in ("values", "indices")]
    )
    got, without = compiled(module, {"x": x})
    assert not without and got[1].tolist() == [[1, 2, 4, 0, 3, 0], [5, 3, 4, 1, 2, 0]]
    for actual, wanted in zip(got, run(module, {"x": x}), strict=True):
        np.testing.assert_array_equal(actual, wanted)
