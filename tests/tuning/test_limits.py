"""What a session takes for the machine's limit."""

from types import SimpleNamespace

import pytest

from octet.targets.registry import find
from octet.targets.x86.peak import Peak
from octet.tuning.least_time import least_time

PEAK = Peak(1, 1000.0, 100.0, 100.0, 50.0, 10.0)


def state(seconds=0.0, macs=0, vectors=0.0, moved=1000, lanes=False, ratio=1.0):
    workload = SimpleNamespace(dtype="int8", multiply_adds=macs, vectors=vectors, lanes=lanes)
    return SimpleNamespace(
        task=SimpleNamespace(workload=workload),
        case=SimpleNamespace(moved=moved),
        default_seconds=seconds,
        best_ratio=ratio,
    )


def test_the_slowest_of_products_vectors_and_bytes():
    wanted, vnni, amx = state(macs=10**6, vectors=1000), find("avx512vnni"), find("amx")
    assert least_time(wanted, [wanted], vnni, PEAK) == pytest.approx(2e-6 + 0.32e-6)
    assert least_time(wanted, [wanted], amx, PEAK) == pytest.approx(2e-6)
    assert least_time(state(macs=10**6, lanes=True), [], amx, PEAK) == pytest.approx(20e-6)
    assert least_time(state(moved=10**6), [], amx, PEAK) == pytest.approx(10e-6)


def test_no_kernel_is_faster_than_its_limit():
    """A peak that was measured while the machine did other things is too low."""
    states = [
        state(1e-6, macs=10**6),
        state(2e-6, vectors=50_000, moved=10),
        state(1e-6, moved=10**6),
        state(8e-6, macs=10**6, ratio=0.5),
    ]
    for one in states:
        assert least_time(one, states, find("amx"), PEAK) <= one.default_seconds * one.best_ratio * (1 + 1e-9)
    assert least_time(states[3], states, find("amx"), PEAK) == pytest.approx(1e-6)


def test_without_a_peak_the_others_stand_in():
    states = [state(1e-6, macs=10**6), state(4e-6, macs=10**6), state(1e-6, moved=500)]
    assert least_time(states[1], states, find("amx"), None) == pytest.approx(1e-6)
    assert least_time(states[2], states[2:], find("amx"), None) == pytest.approx(1e-6), "nothing multiplies"
