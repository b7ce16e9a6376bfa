"""The loops that measure the machine's limits: what they are credited with is what they compute."""

import math

import numpy as np
import pytest
import tvm

from octet.targets import detect
from octet.targets.runtime import aligned
from octet.targets.x86 import peak
from octet.targets.x86.isa import UNITS, building_for, current

RUNNABLE = [spec for spec in detect.runnable() if spec.kind == "cpu"]
ENDS = pytest.mark.parametrize("spec", RUNNABLE[:1] + RUNNABLE[-1:], ids=lambda spec: spec.name)
TASKS, STEPS, SIZE = 2, 5, 1 << 12


def added(spec, loop, dtype, elements):
    """(what a run on data of ones adds to its sums, the units it is credited with); their starts, 0 to SUMS - 1 or all
    0, are taken off."""
    with building_for(spec.dot):
        function, units = loop(TASKS)
        start = TASKS * current().lanes * sum(range(peak.SUMS))
    data, out = aligned((elements,), dtype), aligned((TASKS * 16,), "float32" if dtype == "float32" else "int32")
    data[:], out[:] = 1, 0
    tvm.compile(function, target=spec.tvm_target())[function.attrs["global_symbol"]](
        *map(tvm.runtime.from_dlpack, (data, out))
    )
    return float(np.sum(out, dtype=np.float64)) - (0 if dtype == "int32" else start), TASKS * units


@ENDS
def test_a_multiply_add_is_two_operations(spec):
    found, units = added(spec, lambda tasks: peak._fmas(tasks, STEPS), "float32", 16)
    assert units == 2 * found > 0


@pytest.mark.parametrize("spec", [spec for spec in RUNNABLE if UNITS[spec.dot].vnni][:1], ids=lambda spec: spec.name)
def test_so_is_that_of_two_bytes(spec):
    found, units = added(spec, lambda tasks: peak._dots(tasks, STEPS), "uint8", 64)
    assert units == 2 * found > 0


@ENDS
def test_every_byte_is_read(spec):
    found, units = added(spec, lambda tasks: peak._reads(tasks, SIZE, STEPS), "int32", TASKS * SIZE // 4)
    assert units == 4 * found > 0


@ENDS
def test_every_limit_is_measured(spec):
    found = peak.measure_peak(spec, threads=1, runs=2)
    assert found.threads == 1 and all(0 < rate < math.inf for rate in found.as_dict().values())
    assert found.l2_gbytes >= found.l3_gbytes >= found.memory_gbytes  # A nearer cache is never slower, by definition.
