"""USMMLA: products of two pixels, or rows, by two channels."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import tvm
from hypothesis import example, given, settings, strategies as st

from octet.targets import registry
from octet.targets.x86 import peak
from octet.targets.x86.conv.choose import conv_kernel
from octet.targets.x86.conv.direct_schedule import DirectSchedule, by_pairs, default_schedule
from octet.targets.x86.isa import building_for
from octet.targets.x86.matmul.product import matmul

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "x86")]
from conv_harness import arguments, expected, problem, run  # noqa: E402
from count_instructions import PRODUCT as MATMUL, loop_in, per_64  # noqa: E402
from here import module_here  # noqa: E402

SPEC = registry.find("arm64-i8mm")
CONV = problem(64, 6, 16)


def paired(p, schedule):
    with building_for(SPEC.dot):
        return by_pairs(p, schedule)


@st.composite
def problems(draw):
    """Convolutions whose tiles lie beside the image, whose lines are no multiple of a tile, and whose channels are no
    multiple of a step."""
    kernel = (draw(st.integers(1, 2)), draw(st.sampled_from([1, 3])))
    padding = tuple(draw(st.integers(0, 1)) for _ in range(4))
    return problem(
        draw(st.integers(5, 40)),
        (draw(st.integers(2, 3)), draw(st.integers(4, 9))),
        draw(st.integers(1, 20)),
        kernel,
        draw(st.integers(1, 2)),
        padding,
        batch=draw(st.integers(1, 2)),
        residual=draw(st.booleans()),
        zero_point=draw(st.integers(-128, 127)),
    )


@settings(max_examples=2, deadline=None, derandomize=True)
@given(p=problems(), seed=st.integers(0, 99), pixels=st.sampled_from([2, None]))
@example(
    p=problem(3, (4, 12), 10, (2, 7), 2, (1, 3, 0, 2), zero_point=-9), seed=0, pixels=None
)  # Taps go in pairs, and the last one here has no neighbour.
def test_any_shape_equals_numpy(p, seed, pixels):
    """With the instruction spelled portably; as machine code it runs in test_families.py."""
    data, weight, bias, multiplier, residual = arguments(p, seed)
    kernel = conv_kernel(
        p, SPEC.dot, weight, bias, multiplier, DirectSchedule(1, 2, True, 1) if pixels and p.out_width > 1 else None
    )
    assert paired(p, kernel.schedule) or p.batch * p.out_height * p.out_width == 1 or p.out_width == 1
    np.testing.assert_array_equal(
        run(p, kernel, data, residual, SPEC), expected(p, data, weight, bias, multiplier, residual)
    )


def test_the_peak_counts_what_the_instruction_multiplies():
    with building_for(SPEC.dot):
        function, units = peak._dots(1, 5)
    data, out = (tvm.runtime.tensor(array) for array in (np.ones(64, np.uint8), np.zeros(16, np.int32)))
    module_here(function, SPEC)["peak_dot"](data, out)
    assert units == 2 * (out.numpy().sum() - 4 * sum(range(peak.SUMS))) > 0


def test_what_takes_pairs():
    assert paired(CONV, DirectSchedule(1, 6, True, 1)) and paired(
        problem(64, 1, 64, batch=5), DirectSchedule(1, 4, True, 1)
    )
    assert not paired(CONV, DirectSchedule(1, 5, True, 1)), "the last of an odd number of pixels has no neighbour"
    assert paired(problem(3, 9, 16, 3), DirectSchedule(1, 4, True, 1)) and not paired(
        problem(3, 9, 16), DirectSchedule(1, 4, True, 1)
    ), "pixels are half a step"
    assert not paired(problem(12, 9, 12, 3, groups=3), DirectSchedule(1, 4, True, 1)), (
        "a group's four channels are half a step"
    )
    assert not paired(problem(64, 6, 16, dtype="float32"), DirectSchedule(1, 4, True, 1))
    with building_for("dotprod"):
        assert not by_pairs(CONV, DirectSchedule(1, 6, True, 1)), "SDOT came without it"


@pytest.mark.parametrize(
    "spec", [spec for spec in registry.TARGETS.values() if spec.machine == "aarch64"], ids=lambda spec: spec.name
)
def test_kernel_rows_are_a_loop(spec):
    """A step takes four times the instructions of 512-bit registers: written out, three rows of a 3x3 kernel took four
    times as long to compile."""
    few, more = (problem(16, (6, 3), 16, (rows, 1), padding=(1, 0, 1, 0)) for rows in (2, 4))
    few, more = (str(conv_kernel(p, spec.dot, *arguments(p)[1:4]).func).count("aarch64.neon") for p in (few, more))
    assert 0 < few == more


@pytest.mark.skipif(not shutil.which("aarch64-linux-gnu-objdump"), reason="aarch64-linux-gnu-objdump is not installed")
def test_the_loops_of_the_machine_code():
    """With USDOT, 64 products take four instructions beside all loads; a product of tensors turns what it loads. Sums
    stay in registers."""
    for p, most in ((CONV, 3.5), (problem(256, 1, 128), 6.5)):
        loop = loop_in(conv_kernel(p, SPEC.dot, *arguments(p)[1:4]).func, SPEC)
        assert per_64(loop) < most and loop["spilled"] == 0
    with building_for(SPEC.dot):
        assert per_64(loop_in(matmul(MATMUL, SPEC.dot), SPEC)) < 5.5


def test_sums_in_flight():
    """As many as hide the latency of what multiplies, in every default schedule that has so many results."""
    problems = (
        problem(64, 14, 64),
        problem(64, 14, 64, 3),
        problem(256, 1, 128),
        problem(256, 1, 64, batch=2),
        problem(64, 14, 64, dtype="float32"),
        problem(256, 1, 64, dtype="float32"),
    )
    for spec in (spec for spec in registry.TARGETS.values() if spec.machine == "aarch64"):
        with building_for(spec.dot) as isa:
            for p in problems:
                schedule = default_schedule(p)
                sums = schedule.vectors * schedule.pixels * isa.parts
                assert isa.latency(p.dtype).chains <= sums <= isa.registers - 4, (spec.name, p.name, schedule)
