"""The kernel that counts clipped values: exactly those that it looks at, without padding, on levels of every kind."""

import sys
from pathlib import Path

import numpy as np
import pytest
import tvm
from octet.passes.lower.watch.clips import Counted
from octet.targets import registry
from octet.targets.x86.checks.kernels import count_ends
from octet.targets.x86.isa import building_for

sys.path.insert(0, str(Path(__file__).parent))
from here import module_here  # noqa: E402

CASES = {
    "plain, with a tail": Counted(1000, 1, 1, 200, True),
    "three channels of four": Counted(100, 3, 4, 200, False),
    "24 channels of 32": Counted(2464, 24, 32, 200, True),
    "one group in eight": Counted(80000, 16, 16, 255, True),
    "40 channels of 48": Counted(432000, 40, 48, 200, False),
}


@pytest.mark.parametrize("level", ["avx512vnni", "x86-64-v3"])
@pytest.mark.parametrize("name", CASES)
def test_it_counts_the_values_that_it_looks_at(name, level):
    counted, spec, random = CASES[name], registry.find(level), np.random.default_rng(0)
    with building_for(spec.dot):
        func = count_ends(counted.groups, counted.step, counted.period, counted.high, counted.low, counted.tail)
    size = max(int(func.params[0].shape[0]), counted.size)
    data = random.choice([0, 1, counted.high - 1, counted.high], size, p=[0.1, 0.4, 0.3, 0.2]).astype(np.uint8)
    values = np.resize((np.arange(counted.stride) < counted.channels).astype(np.int8), counted.period * 64)
    out = tvm.runtime.tensor(np.full(int(func.params[2].shape[0]), 9, np.int32))
    module_here(func, spec)[str(func.attrs["global_symbol"])](tvm.runtime.tensor(data[: int(func.params[0].shape[0])]), tvm.runtime.tensor(values), out)
    looked, group = np.zeros(counted.size, bool), counted.period * 64
    for number in range(counted.groups // counted.step):
        first = number * counted.step + ((number * 5 + number // 3) % counted.step)
        looked[first * group : (first + 1) * group] = True
    if counted.tail:
        looked[counted.groups * group :] = True
    looked &= np.arange(counted.size) % counted.stride < counted.channels
    at_end = (data[: counted.size] == counted.high) | ((data[: counted.size] == 0) & counted.low)
    assert looked.sum() == counted.values and out.numpy().sum() == (at_end & looked).sum()
