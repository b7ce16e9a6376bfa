"""The kernels that look at a tensor's bytes: exactly at those that they say, without padding, on levels of every
kind."""

import sys
from pathlib import Path

import numpy as np
import pytest
import tvm

from octet.passes.lower.watch.counted_clips import CountedBytes
from octet.targets import registry
from octet.targets.x86.checks.counts import count_ends, moments
from octet.targets.x86.isa import building_for

sys.path.insert(0, str(Path(__file__).parent))
from here import module_here

CASES = {
    "plain, with a tail": CountedBytes(1000, 1, 1, 200, True),
    "three channels of four": CountedBytes(100, 3, 4, 200, False),
    "24 channels of 32": CountedBytes(2464, 24, 32, 200, True),
    "one group in nine": CountedBytes(80000, 16, 16, 255, True),
    "40 channels of 48": CountedBytes(432000, 40, 48, 200, False),
}


def looked_at(counted):
    looked, group = np.zeros(counted.size, bool), counted.period * 64
    for number in range(counted.groups // counted.step):
        first = number * counted.step + ((number * 5 + number // 3) % counted.step)
        looked[first * group : (first + 1) * group] = True
    if counted.tail:
        looked[counted.groups * group :] = True
    return looked & (np.arange(counted.size) % counted.stride < counted.channels)


def run(build, counted, level, data, constants):
    """The words that a kernel writes. build: of what is looked at, the kernel."""
    spec = registry.find(level)
    with building_for(spec.dot):
        func = build(counted.groups, counted.step, counted.period, counted.tail)
    words = tvm.runtime.tensor(np.full(int(func.params[2].shape[0]), 9, np.int32))
    read = np.pad(data, (0, 64 * counted.period))[: int(func.params[0].shape[0])]
    module_here(func, spec)[str(func.attrs["global_symbol"])](
        tvm.runtime.tensor(read), tvm.runtime.tensor(constants), words
    )
    return words.numpy()


@pytest.mark.parametrize("level", ["avx512vnni", "x86-64-v3"])
@pytest.mark.parametrize("name", CASES)
def test_it_counts_the_values_that_it_looks_at(name, level):
    counted, looked = CASES[name], looked_at(CASES[name])
    data = (
        np.random.default_rng(0)
        .choice([0, 1, counted.high - 1, counted.high], counted.size, p=[0.1, 0.4, 0.3, 0.2])
        .astype(np.uint8)
    )
    words = run(lambda *place: count_ends(*place, counted.high, counted.low), counted, level, data, counted.valid)
    assert looked.sum() == counted.values
    assert words.tolist() == [(data[looked] == end).sum() for end in (counted.high, 0)[: len(counted.ends)]]


@pytest.mark.parametrize("level", ["avx512vnni", "x86-64-v3"])
@pytest.mark.parametrize("name", CASES)
def test_it_adds_up_every_part_of_the_channels(name, level):
    counted, looked = CASES[name], looked_at(CASES[name])
    data = np.random.default_rng(0).integers(0, 256, counted.size).astype(np.uint8)
    words = run(lambda *place: moments(*place, len(counted.parts)), counted, level, data, counted.members)
    part = np.arange(counted.size) % counted.stride * min(counted.channels, 8) // counted.channels
    values = [data[looked & (part == number)].astype(int) for number in range(len(counted.parts))]
    assert counted.parts == tuple(len(some) for some in values)
    assert words.tolist() == [some.sum() for some in values] + [abs(some - 128).sum() for some in values]
