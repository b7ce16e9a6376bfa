"""Interpolation and softmax of int8, byte for byte against the referee."""

import numpy as np
import pytest
from cuda_harness import codes, constant, differences, emulated

from octet.passes import ops
from octet.passes.referee.resize import whole_taps
from octet.targets.softmax_table import softmax_table

RNG = np.random.default_rng(7)


def resize(size, result, mode):
    (rows, row_units), (columns, column_units) = (
        whole_taps(old, new, mode) for old, new in zip(size, result, strict=True)
    )
    attrs = {
        "row_units": row_units,
        "column_units": column_units,
        "data_zero_point": -7,
        "out_zero_point": 11,
        "clip_min": -100,
        "clip_max": 99,
    }
    tables = [constant(rows), constant(columns)]
    return lambda b, x: b.emit(
        ops.call("octet.resize2d", [x, *tables], multiplier=1.3 / row_units / column_units, **attrs)
    )


def softmax(levels, zero_point):
    return lambda b, x: b.emit(
        ops.call("octet.softmax", [x, constant(softmax_table(0.04))], levels=levels, out_zero_point=zero_point)
    )


CASES = {
    "resize": (resize((3, 4), (6, 8), "half_pixel"), {"x": codes(RNG, 2, 19, 3, 4)}),
    "resize of three channels": (resize((3, 4), (9, 4), "align_corners"), {"x": codes(RNG, 1, 3, 3, 4)}),
    "softmax": (softmax(127, 0), {"x": codes(RNG, 2, 5, 70)}),
    "softmax of heads": (softmax(255, -128), {"x": codes(RNG, 1, 2, 3, 9)}),
    "resize to less": (resize((8, 6), (3, 4), "asymmetric"), {"x": codes(RNG, 1, 40, 8, 6)}),
}


@pytest.fixture(scope="module")
def operators():
    return emulated(CASES)


@pytest.mark.parametrize("name", CASES)
def test_operator(operators, name):
    machine, found = operators
    assert not differences(machine, *found[name], CASES[name][1], seeds=(0, 1))
