"""Convolutions without VPDPBUSD: whatever the weights are, steps of VPMADDUBSW never saturate, and the result is
exact."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from octet.targets import registry
from octet.targets.x86.conv import listed as conv_listed
from octet.targets.x86.conv.choose import conv_kernel
from octet.targets.x86.conv.direct_schedule import DirectSchedule
from octet.targets.x86.conv.pack import STEP_HEADER, pack_steps, tap_matrix
from octet.targets.x86.isa import building_for

_spec = importlib.util.spec_from_file_location("conv_harness", Path(__file__).with_name("conv_harness.py"))
harness = sys.modules["conv_harness"] = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(harness)
TARGETS = [registry.find(name) for name in ("x86-64-v3", "x86-64-v4")]

WEIGHTS = {
    "all safe": lambda rng, shape: rng.integers(-64, 65, shape),
    "at the limit": lambda rng, shape: np.full(shape, 64),
    "one above the limit": lambda rng, shape: np.full(shape, 64) + (rng.random(shape) < 0.05),
    "all largest": lambda rng, shape: np.full(shape, 127),
    "all smallest": lambda rng, shape: np.full(shape, -128),
    "as trained": lambda rng, shape: np.clip(np.rint(rng.standard_normal(shape) * 38), -127, 127),
    "sparse": lambda rng, shape: np.where(rng.random(shape) < 0.02, 127, 0),
    "none": lambda rng, shape: np.zeros(shape),
}


@pytest.mark.parametrize("spec", TARGETS, ids=lambda spec: spec.name)
@pytest.mark.parametrize("name", WEIGHTS)
def test_every_kind_of_weights(name, spec):
    p = harness.problem(21, (5, 9), 35, 3, residual=True)
    data, weight, bias, multiplier, residual = harness.arguments(p)
    weight = WEIGHTS[name](np.random.default_rng(1), weight.shape).astype(np.int8)
    data[0, :, :3] = 127  # They are stored as 255.
    kernel = conv_kernel(p, spec.dot, weight, bias, multiplier)
    assert kernel.family == "listed"
    np.testing.assert_array_equal(
        harness.run(p, kernel, data, residual, spec), harness.expected(p, data, weight, bias, multiplier, residual)
    )


def test_nothing_is_copied_where_nothing_needs_it():
    p, schedule = (
        harness.problem(16, 4, 16),
        DirectSchedule(1, 4, False, 1),
    )  # A task that runs over all channels would keep its copy to itself.
    with building_for("madd256"):
        steps = [
            pack_steps(p, tap_matrix(p, np.full((16, 16, 1, 1), value, np.int8), 16, 4), p.width) for value in (64, 65)
        ]
    assert [s.unsafe for s in steps] == [0, 4] and [conv_listed.workspace(p, schedule, s) > 0 for s in steps] == [
        False,
        True,
    ]


@pytest.mark.parametrize("spec", TARGETS, ids=lambda spec: spec.name)
@pytest.mark.parametrize("c, size, batch, stride", [(20, 9, 1, 1), (36, 5, 3, 1), (20, 9, 2, 2)])
@pytest.mark.parametrize(
    "schedule", [DirectSchedule(1, 5, True, 2), DirectSchedule(2, 4, True, 1), DirectSchedule(1, 5, False, 3)], ids=str
)
def test_pointwise_layers_by_any_schedule(c, size, batch, stride, schedule, spec):
    p = harness.problem(c, size, 40, 1, stride, batch=batch)
    data, weight, bias, multiplier, residual = harness.arguments(p)
    weight = WEIGHTS["as trained"](np.random.default_rng(1), weight.shape).astype(np.int8)
    kernel = conv_kernel(p, spec.dot, weight, bias, multiplier, schedule)
    np.testing.assert_array_equal(
        harness.run(p, kernel, data, residual, spec), harness.expected(p, data, weight, bias, multiplier, residual)
    )


@settings(max_examples=20, derandomize=True, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([20, 60, 127]))
def test_safe_steps_do_not_saturate(seed, most):
    p = harness.problem(12, 6, 16, 3)
    weight = np.random.default_rng(seed).integers(-most, most + 1, (16, 12, 3, 3)).astype(np.int8)
    steps = pack_steps(p, tap_matrix(p, weight, 16, 4), 8)
    start, first, safe, others = steps.table[:STEP_HEADER]
    assert safe + others == 27 and first == STEP_HEADER and len(set(steps.table[first:])) == 27
    pairs = steps.weights[start : start + safe * 64].reshape(-1, 2).astype(int)
    assert (255 * np.maximum(pairs, 0).sum(1) < 2**15).all() and (255 * np.minimum(pairs, 0).sum(1) >= -(2**15)).all()
    wide = steps.weights[start + safe * 64 : start + safe * 64 + others * 128].view("<i2").reshape(others, 2, 16, 2)
    broken = (np.maximum(wide, 0).sum(3) > 128) | (np.minimum(wide, 0).sum(3) < -128)
    assert broken.any((1, 2)).all(), "every other step needs its 16 bits"
