"""Softmax with int8 results: approximate rows must have the bytes of the exact ones, also where quotients lie at
rounding boundaries."""

import sys
from pathlib import Path

import numpy as np
import pytest
from tvm import relax

from octet.passes.ops import call
from octet.passes.referee.reference import run
from octet.targets import float_math, registry
from octet.targets.float_ops import NumpyOps
from octet.targets.x86.rows import softmax_bytes

sys.path.insert(0, str(Path(__file__).parent))
from rule_harness import compiled, dequantize, network, quantize

LEVELS = [spec for spec in registry.TARGETS.values() if spec.machine == "x86_64"]


def softmax_of(b, x, peak, guarded):
    p = b.emit(relax.op.nn.softmax(x, -1))
    if guarded:
        return b.emit(relax.op.where(b.emit(relax.op.isnan(p)), relax.const(np.float32(0)), p))
    if not peak:
        return p
    inverse = b.emit(call("octet.unary", [b.emit(relax.op.max(p, [-1], keepdims=True))], kind="reciprocal"))
    return b.emit(relax.op.multiply(p, inverse))


def same_bytes(scale, *matrices, target="native", zero_point=0, peak=False, guarded=False):
    """Of several matrices, which are one network. peak: each row over its largest value. guarded: 0 where it is NaN."""
    inputs = {f"x{i}": rows for i, rows in enumerate(matrices)}
    coded = (scale, zero_point)
    body = lambda b, *xs: [dequantize(b, quantize(b, softmax_of(b, x, peak, guarded), *coded), *coded) for x in xs]
    module = network({name: rows.shape for name, rows in inputs.items()}, body)
    outputs, without = compiled(module, inputs, target)
    assert not list(without), "one kernel computes it all: the largest value alone has none"
    for found, wanted in zip(outputs, run(module, inputs), strict=True):
        np.testing.assert_array_equal(found, wanted)


def rows_of_all_kinds(columns, rng):
    """float32 [48, columns]: flat, peaked, far from zero, masked, equal."""
    normal = rng.standard_normal((48, columns))
    rows = normal * np.repeat([0.1, 1, 5, 30, 1000, 1e6], 8)[:, None]
    rows[3::8] += 1e4
    rows[4::8] = np.where(normal[4::8] > 0, -1e4, rows[4::8])
    rows[5::8] = np.where(normal[5::8] > 0.5, -3.4e38, rows[5::8])
    rows[6::8] = np.round(normal[6::8])  # Many quotients are equal.
    rows[7::8] = np.where(
        np.arange(columns) % columns < [[2], [4], [8], [3], [1], [16]], 1.5, -1e4
    )  # The products of 127 with 1/2 and 1/4 are ties.
    return rows.astype(np.float32)


@pytest.mark.parametrize(
    ("scale", "zero_point"), [(1 / 127, 0), (1e-3, 0), (0.3, 0), (1 / 255, -128), (1 / 256, -128), (1e-3, -128)]
)
def test_rows_of_all_kinds(scale, zero_point):
    columns = (1, 2, 17, 64, 128, 197, 1000)
    same_bytes(
        scale, *(rows_of_all_kinds(count, np.random.default_rng(count)) for count in columns), zero_point=zero_point
    )


@pytest.mark.parametrize(("scale", "zero_point"), [(1 / 255, -128), (1 / 127, 0), (0.3, -128), (0.001, -128)])
def test_rows_over_their_largest_value(scale, zero_point):
    same_bytes(
        scale,
        *(rows_of_all_kinds(count, np.random.default_rng(count)) for count in (1, 17, 64, 300)),
        zero_point=zero_point,
        peak=True,
    )


@pytest.mark.parametrize(("scale", "zero_point"), [(1 / 127, 0), (1 / 255, -128), (0.001, -128)])
@pytest.mark.parametrize("spec", LEVELS, ids=lambda spec: spec.name)
def test_rows_of_nothing_but_minus_infinity_are_zero_behind_their_guard(spec, scale, zero_point):
    rows = [rows_of_all_kinds(columns, np.random.default_rng(columns)) for columns in (5, 75)]
    for each in rows:
        each[::3], each[1::6, 1:4] = -np.inf, -np.inf
    same_bytes(scale, *rows, target=spec.name, zero_point=zero_point, guarded=True)


@pytest.mark.parametrize("peak", [False, True])
@pytest.mark.parametrize("spec", LEVELS, ids=lambda spec: spec.name)
def test_every_level(spec, peak):
    same_bytes(1 / 255, rows_of_all_kinds(75, np.random.default_rng(1)), target=spec.name, zero_point=-128, peak=peak)


@pytest.mark.parametrize(("scale", "zero_point"), [(1 / 127, 0), (0.004, -128)])
def test_quotients_on_both_sides_of_a_boundary(scale, zero_point):
    """Two elements, x and 0, with x in steps of one unit in the last place across each value where the second quotient
    is a tie."""
    ties = (np.arange(1, 90) + 0.5) * scale
    ties = ties[ties < 0.4]
    centre = np.log((1 - ties) / ties).astype(np.float32)
    steps = np.arange(-12, 13, dtype=np.int32)
    first = (centre.view(np.int32)[:, None] + steps).view(np.float32).reshape(-1)
    rows = np.zeros((first.size // 2 * 2, 2), np.float32)
    rows[:, 0] = first[: len(rows)]
    same_bytes(scale, rows, zero_point=zero_point)


@pytest.mark.parametrize("columns", [64, 197, 1024])
def test_the_bound_of_the_error_holds_and_seldom_matters(columns):
    """The approximation, in float64 but for its polynomial and reduced argument, against the contract: within a third
    of the bound (the rest is rounding)."""
    rng, bound = np.random.default_rng(0), softmax_bytes.quotient_error(columns, 1 / 127)
    x = (rng.standard_normal((400, columns)) * rng.uniform(0.1, 6, (400, 1))).astype(np.float32)
    shifted = x - x.max(-1, keepdims=True)
    powers = float_math.exp(NumpyOps, shifted)
    wanted = powers / powers.sum(-1, keepdims=True, dtype=np.float32) * np.float32(127)
    t = shifted.astype(np.float64) * np.log2(np.e)
    e = np.polynomial.polynomial.polyval(t - np.floor(t), np.array(softmax_bytes._POWER)) * 2 ** np.floor(t)
    found = e / e.sum(-1, keepdims=True) * 127
    matters = wanted > 0.4
    assert np.abs(found / wanted - 1)[matters].max() < bound
    uncertain = np.floor(found * (1 - bound) + 0.5) != np.floor(found * (1 + bound) + 0.5)
    assert uncertain.any(-1).mean() < 0.02


def test_the_polynomial_is_as_near_as_it_says():
    f = np.linspace(0, 1, 1 << 18)
    assert (
        np.abs(np.polynomial.polynomial.polyval(f, np.array(softmax_bytes._POWER)) / 2**f - 1).max()
        < softmax_bytes._POWER_ERROR
    )
