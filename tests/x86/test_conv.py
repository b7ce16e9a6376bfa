"""Every convolution kernel equals plain NumPy: byte for byte in int8, to rounding in float32."""

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from tvm_ffi import structural_equal

from octet.targets import detect, registry
from octet.targets.x86.conv import amx as conv_amx
from octet.targets.x86.conv.choose import conv_kernel, family_of
from octet.targets.x86.conv.depthwise_schedule import DepthwiseSchedule

_spec = importlib.util.spec_from_file_location("conv_harness", Path(__file__).with_name("conv_harness.py"))
harness = sys.modules["conv_harness"] = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(harness)
problem = harness.problem

TARGETS = [spec for spec in registry.TARGETS.values() if spec.machine == "x86_64"]
AVX512 = registry.find("avx512vnni")


def check(p, spec, seed=0, seen=None):
    """seen: kernels that another level ran already; this level's own are added."""
    data, weight, bias, multiplier, residual = harness.arguments(p, seed)
    want = harness.expected(p, data, weight, bias, multiplier, residual)
    for schedule in tile_schedules(p, seed) if spec.dot == "amx" else (None,):
        kernel = conv_kernel(p, spec.dot, weight, bias, multiplier, schedule)
        if seen is not None:
            if any(same(kernel, other) for other in seen):
                continue
            seen.append(kernel)
        compare(p, harness.run(p, kernel, data, residual, spec), want, weight)


def same(one, other):
    return (
        len(one.constants) == len(other.constants)
        and all(map(np.array_equal, one.constants, other.constants))
        and structural_equal(one.func, other.func)
    )


def tile_schedules(p, seed):
    """The default, and the tile unit's kernel where the default leaves it out or is another one."""
    if p.dtype == "float32" or family_of(p, "amx") == "depthwise":
        return (None,)
    default = conv_amx.default_schedule(p)
    return None, replace(default, woven=bool(seed % 2), units=min(default.units, 3), ahead=True)


def test_long_and_deep_convolutions_are_woven():
    def woven(size, kernel, channels=64):
        return conv_amx.default_schedule(problem(channels, size, channels, kernel)).woven

    assert woven(224, 3) and not woven(56, 3), "a short one"
    assert not woven(640, 1), "a step between epilogues"


def compare(p, got, want, weight):
    if p.epilogue.out_dtype == "int8" or p.dtype == "int8":
        np.testing.assert_array_equal(got, want)
    else:  # Sums of up to a few thousand float32 products are added in another order.
        np.testing.assert_allclose(
            got, want, rtol=0, atol=1e-5 * max(1.0, np.abs(want).max()) * np.sqrt(weight[0].size)
        )


CASES = {
    "few channels": problem(7, 9, 5, 3),
    "pointwise": problem(64, 8, 64),
    "stride 2, uneven pads": problem(20, 5, 33, 3, 2, (1, 0, 2, 1)),
    "first layer": problem(3, 17, 24, 7, 2),
    "first layer, rows folded by 4": problem(3, 21, 16, 3, 2, batch=2),
    "narrow first layer": problem(2, 7, 16, 3),
    "one channel in, three out": problem(1, 24, 3, 5),
    "patches": problem(3, 24, 40, 8, 8, (0, 0, 0, 0)),
    "large kernel": problem(17, (9, 40), 40, (7, 6), 1, (3, 2, 3, 3), residual=True),
    "groups": problem(40, 3, 48, 3, groups=2),
    "many groups": problem(48, 5, 96, 3, groups=48),
    "groups that no block holds": problem(15, 4, 21, 3, groups=3),
    "dilation and residual": problem(16, 10, 16, 3, dilation=2, padding=(2, 2, 2, 2), residual=True),
    "stride 3 without padding": problem(24, 11, 40, 3, 3, (0, 0, 0, 0)),
    "batch, residual, clip": problem(64, 7, 80, 3, residual=True, batch=3, clip=(-7, 100)),
    "one row": problem(33, (1, 29), 17, (1, 5)),
    "linear": problem(100, 1, 10, batch=5),
    "linear, one sample": problem(100, 1, 200),
    "depthwise": problem(33, 7, 33, 3, 2, groups=33),
    "depthwise 5 x 5": problem(80, 9, 80, 5, groups=80),
    "depthwise in one row": problem(70, (1, 30), 70, (1, 11), groups=70),
    "depthwise in one row, stride 2": problem(18, (1, 23), 18, (1, 6), 2, groups=18),
    "depthwise dilated": problem(130, 8, 130, 3, dilation=2, padding=(2, 2, 2, 2), groups=130),
    "depthwise 1 x 1": problem(20, 5, 20, 1, groups=20),
    "depthwise, batch, clip": problem(64, 9, 64, 3, groups=64, batch=2, clip=(-100, 90)),
    "depthwise, channels as tasks": problem(230, (7, 9), 230, 5, padding=(1, 2, 3, 2), groups=230),
    "depthwise, channels as tasks, stride 2": problem(160, 7, 160, 5, 2, groups=160, batch=2),
    "depthwise, two pixels in a vector": problem(30, (5, 23), 30, 3, groups=30, batch=2),
    "depthwise, four pixels in a vector": problem(16, (6, 7), 16, 5, groups=16),
    "depthwise, narrower than its result": problem(16, (4, 3), 16, 3, padding=(1, 2, 1, 2), groups=16),
    "depthwise with residual": problem(32, 6, 32, 3, groups=32, residual=True),
    "to float": problem(100, 3, 10, 3, out_dtype="float32"),
    "depthwise to float": problem(150, 8, 150, 7, groups=150, out_dtype="float32", clip=(-0.5, np.inf)),
    "depthwise to float, two pixels in a vector": problem(30, (5, 23), 30, 3, groups=30, batch=2, out_dtype="float32"),
    "depthwise to float, few channels": problem(3, 9, 3, 3, groups=3, out_dtype="float32"),
    "depthwise to float, stride 2": problem(40, 9, 40, 5, 2, groups=40, out_dtype="float32"),
}


# Levels below AVX-512 VNNI share its templates: what differs is the width of a vector and how int8 is multiplied.
ON_EVERY_LEVEL = (
    "stride 2, uneven pads",
    "first layer",
    "dilation and residual",
    "linear, one sample",
    "depthwise, batch, clip",
    "to float",
    "depthwise to float",
)


@pytest.mark.parametrize("name", CASES)
def test_int8_equals_numpy(name):
    """On every level; levels whose kernels are one and the same function share a run, on the one that this machine
    has."""
    specs = [spec for spec in TARGETS if spec.rank >= AVX512.rank or name in ON_EVERY_LEVEL]
    seen = []
    for spec in sorted(specs, key=lambda spec: bool(detect.missing(spec.features))):
        check(CASES[name], spec, seen=seen)


def test_float32_on_256_bits():
    for p in (
        problem(7, 9, 40, 3, dtype="float32"),
        problem(33, 7, 33, 3, 2, groups=33, dtype="float32"),
        problem(100, 1, 200, dtype="float32"),
    ):
        check(p, registry.find("x86-64-v3"))


@pytest.mark.parametrize("name", [name for name in CASES if "to float" not in name])
def test_float32_equals_numpy(name):
    p = CASES[name]
    clip = (-1.0, np.inf) if p.epilogue.clip_max == 100 else (-np.inf, np.inf)
    size = (p.height, p.width)
    check(
        problem(
            p.channels,
            size,
            p.out_channels,
            p.kernel,
            p.strides[0],
            p.padding,
            p.groups,
            p.batch,
            "float32",
            p.dilation[0],
            p.epilogue.residual,
            clip=clip,
        ),
        AVX512,
    )


@pytest.mark.parametrize(
    "p",
    [
        problem(3, 17, 24, 7, 2, dtype="float32", planar=True, batch=2),
        problem(2, (5, 9), 5, 1, dtype="float32", planar=True),
        problem(1, 12, 33, 3, padding=(0, 1, 2, 1), dtype="float32", planar=True),
    ],
    ids=lambda p: p.name,
)
def test_a_plain_image_is_read_as_it_is(p):
    check(p, AVX512)


@st.composite
def problems(draw):
    groups = draw(st.sampled_from([1, 1, 1, 2, 3]))
    kernel = (draw(st.integers(1, 4)), draw(st.integers(1, 4)))
    dilation = draw(st.integers(1, 2))
    padding = tuple(draw(st.integers(0, 2)) for _ in range(4))
    size = tuple(draw(st.integers(dilation * (k - 1) + 1, 12)) for k in kernel)
    return problem(
        groups * draw(st.integers(1, 40)),
        size,
        groups * draw(st.integers(1, 40)),
        kernel,
        draw(st.integers(1, 3)),
        padding,
        groups,
        draw(st.integers(1, 2)),
        dilation=dilation,
        residual=draw(st.booleans()),
        zero_point=draw(st.integers(-128, 127)),
    )


@pytest.mark.parametrize("spec", TARGETS[:2], ids=lambda s: s.name)
@settings(max_examples=5, deadline=None, derandomize=True)
@given(p=problems(), seed=st.integers(0, 9))
def test_int8_equals_numpy_for_any_shape(spec, p, seed):
    check(p, spec, seed)


@pytest.mark.parametrize("spec", TARGETS[2:], ids=lambda s: s.name)
@settings(max_examples=3, deadline=None, derandomize=True)
@given(p=problems(), seed=st.integers(0, 9))
def test_int8_equals_numpy_for_any_shape_on_lower_levels(spec, p, seed):
    check(p, spec, seed)


def test_the_target_decides_the_family():
    depthwise = problem(32, 6, 32, 3, groups=32)
    assert family_of(depthwise, "amx") == "depthwise"
    # A result has nine products only.
    assert family_of(problem(32, 26, 32, 3, groups=32, residual=True), "amx") == "vnni"
    assert family_of(problem(32, 26, 32, 3), "amx") == "amx"
    assert (
        family_of(problem(96, 1, 96), "amx")
        == family_of(problem(16, 26, 96), "amx")
        == family_of(problem(32, 2, 8), "amx")
        == "vnni"
    )  # Tiles stay nearly empty.
    assert family_of(problem(32, 6, 32, 3), "vnni") == "vnni"
    assert family_of(problem(32, 6, 32, 3, dtype="float32"), "amx") == "fma"


@pytest.mark.parametrize(
    "p",
    [
        problem(32, 21, 32, 3, groups=32),
        problem(16, (9, 23), 16, 3, groups=16, dilation=2, padding=(2, 2, 2, 2)),
        problem(14, (5, 4), 14, 5, groups=14),
    ],
)
@pytest.mark.parametrize("pixels", [1, 3, 7])
def test_vectors_of_several_pixels_at_the_borders_of_an_image_that_is_not_copied(p, pixels):
    data, weight, bias, multiplier, residual = harness.arguments(p)
    kernel = conv_kernel(p, AVX512.dot, weight, bias, multiplier, DepthwiseSchedule(pixels, 2, False))
    np.testing.assert_array_equal(
        harness.run(p, kernel, data, residual, AVX512), harness.expected(p, data, weight, bias, multiplier, residual)
    )
