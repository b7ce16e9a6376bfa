"""bfloat16 kernels equal the referee byte for byte on every level, whatever the order of their loops."""

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from octet.targets import registry
from octet.targets.bfloat16 import BLOCK, add_blocks, round_to_bfloat16
from octet.targets.x86.conv import amx, bf16
from octet.targets.x86.conv.choose import conv_kernel
from octet.targets.x86.elementwise.bfloat16 import PAIRS
from octet.targets.x86.isa import building_for
from octet.targets.x86.layout import channel_stride

_spec = importlib.util.spec_from_file_location("bfloat16_harness", Path(__file__).with_name("bfloat16_harness.py"))
harness = sys.modules["bfloat16_harness"] = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(harness)
problem = harness.problem

TARGETS = [spec for spec in registry.TARGETS.values() if spec.dot in ("amx", "vnni_bf16", "madd256")]
CASES = {
    "3x3": problem(64, 7, 64, 3),
    "stride 2, uneven pads": problem(20, 5, 33, 3, 2, (1, 0, 2, 1)),
    "stride 2, short rows": problem(32, 7, 32, 3, 2),
    "first layer": problem(3, 17, 24, 7, 2),
    "one channel, two images": problem(1, 9, 16, (5, 3), batch=2, residual=True),
    "kernel as wide as the image": problem(4, 3, 16, 3, padding=(0, 0, 0, 0)),
    "residual and clip": problem(48, 8, 48, residual=True, clip=(-3.0, 6.0)),
    "dilation": problem(16, 10, 16, 3, dilation=2, padding=(2, 2, 2, 2)),
    "linear": problem(100, 1, 10, batch=5),
    "one row": problem(70, (1, 29), 17, (1, 5)),
    "to bfloat16": problem(33, 6, 64, 3, out_dtype="bfloat16", clip=(0.0, np.inf)),
}


def check(p, spec, seed=0, schedules=(None,)):
    data, weight, bias, residual = harness.arguments(p, seed)
    bits, want = harness.rounded(data, spec), harness.expected(p, data, weight, bias, residual)
    for schedule in schedules:
        kernel, got = harness.run(p, spec, weight, bias, bits, residual, schedule)
        assert kernel.family == ("amx" if spec.dot == "amx" else "bf16")
        if p.epilogue.out_dtype == "bfloat16":
            got = logical(got, spec).view(ml_dtypes.bfloat16)
        assert got.tobytes() == np.ascontiguousarray(want).tobytes(), (
            f"{np.mean(got != want):.3f} of the results differ"
        )


def logical(bits, spec):
    """Stored channels (NCHW, whole groups of four) in their logical order."""
    return (
        bits[:, np.argsort([4 * (c // 4) + (2, 0, 3, 1)[c % 4] for c in range(bits.shape[1])])]
        if spec.dot == "vnni_bf16"
        else bits
    )


@pytest.mark.parametrize("spec", TARGETS, ids=lambda spec: spec.name)
@pytest.mark.parametrize("name", CASES)
def test_kernels_equal_the_referee(name, spec):
    check(CASES[name], spec)


def test_schedules_of_tiles_change_no_bit():
    p = problem(64, 9, 48, 3, 1)
    default = amx.default_schedule(p)
    check(
        p,
        registry.find("amx"),
        schedules=[
            replace(default, woven=woven, phases=phases, pixels_outer=outer, units=2)
            for woven, phases, outer in ((True, True, True), (False, False, False))
        ],
    )


def test_schedules_of_the_vector_unit_change_no_bit():
    p = problem(40, 6, 50, 3)
    check(
        p,
        registry.find("avx512vnni"),
        schedules=[
            bf16.Bf16Schedule(vectors, pixels, outer, units)
            for vectors, pixels, outer, units in ((1, 3, True, 2), (2, 6, False, 5))
        ],
    )


@settings(max_examples=4, derandomize=True, deadline=None)
@given(
    st.integers(1, 70),
    st.integers(1, 9),
    st.integers(1, 40),
    st.integers(1, 4),
    st.integers(1, 3),
    st.booleans(),
    st.integers(0, 99),
)
def test_any_shape(channels, size, outputs, kernel, stride, residual, seed):
    if channels <= 4 and kernel == 1:
        kernel = 2  # The layer stays in float32.
    p = problem(channels, size + kernel, outputs, kernel, stride, residual=residual)
    for spec in TARGETS:
        check(p, spec, seed)


@pytest.mark.parametrize("spec", TARGETS, ids=lambda spec: spec.name)
@pytest.mark.parametrize(
    "shape", [(1, 3, 5, 7), (2, 4, 4, 4), (1, 16, 3, 3), (2, 64, 2, 1), (1, 48, 2, 2), (1, 20, 1, 1)]
)
def test_rounding(shape, spec):
    rng = np.random.default_rng(1)
    x = rng.integers(0, 2**32, shape, dtype=np.uint32).view(np.float32)
    x.reshape(-1)[:8] = [np.nan, -np.inf, 0.0, -0.0, 2.0**-56, 2.0**-57, 3.3895314e38, 1 + 2.0**-8]
    for plain in (False, True)[: 2 if shape[1] <= 4 else 1]:
        got = harness.rounded(x, spec, plain)
        n, c, h, w = shape
        stride = channel_stride(c, "bfloat16")
        pixels = got[: n * h * w * stride].reshape(n, h, w, stride)
        if spec.dot == "vnni_bf16":
            pixels = pixels[..., np.argsort([4 * (i // 4) + (2, 0, 3, 1)[i % 4] for i in range(stride)])]
        np.testing.assert_array_equal(pixels[..., :c], round_to_bfloat16(x).view(np.uint16).transpose(0, 2, 3, 1))
        assert (pixels[..., c:] == 0).all(), "padding is zero"


def test_rounding_is_that_of_ml_dtypes_where_nothing_is_flushed():
    x = np.random.default_rng(0).standard_normal(4000).astype(np.float32)
    np.testing.assert_array_equal(round_to_bfloat16(x), x.astype(ml_dtypes.bfloat16))


def test_operands_cannot_make_a_denormal_number():
    """The smallest operands: their product, and the smallest difference of two products, are normal or zero."""
    small = np.float32(2.0**-56)
    assert round_to_bfloat16(np.float32(small * np.float32(0.99))) == 0 and round_to_bfloat16(small) == small
    next_one = np.float32(round_to_bfloat16(small * np.float32(1 + 2.0**-7)))
    assert (
        small * next_one - small * small >= np.finfo(np.float32).tiny
        and next_one * next_one - next_one * small >= np.finfo(np.float32).tiny
    )


def test_sums_are_taken_in_the_documented_order():
    a, b = np.zeros((1, 40), np.float32), np.ones((40, 1), np.float32)
    a[0, [0, 1, 2, 3, 33]] = [2.0**24, 2.0**24, 1, 1, -(2.0**25)]
    # Among the even ones 2^24 + 1 rounds to 2^24, among the odd likewise; their sum is 2^25; then the next block
    # follows.
    assert add_blocks(np.zeros((1, 1), np.float32), a, b)[0, 0] == 0
    assert BLOCK == 32 and sorted(PAIRS) == list(range(32))


def test_weights_of_pairs_hold_neighbours_of_one_parity():
    matrix = np.arange(32, dtype=np.uint16).reshape(1, 32, 1)
    with building_for("vnni_bf16"):
        assert bf16.pack_weights(matrix)[:4].tolist() == [2, 0, 3, 1]


def test_a_level_without_the_instruction_widens():
    p = CASES["linear"]
    _, weight, bias, _ = harness.arguments(p)
    kinds = {
        dot: conv_kernel(p, dot, weight, bias, None).constants[0].dtype for dot in ("vnni_bf16", "vnni", "madd256")
    }
    assert kinds == {"vnni_bf16": np.uint16, "vnni": np.float32, "madd256": np.float32}
