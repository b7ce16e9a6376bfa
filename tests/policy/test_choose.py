"""The cheapest labelling, conversions counted."""

from dataclasses import replace

import pytest

from octet.passes.policy.choose_regions import Times, choose_float
from octet.passes.policy.regions import OUTSIDE, Regions, RegionTensor


def chain(count):
    """count regions in a row between an input and a float result."""
    tensors = [RegionTensor(None, None, (), n - 1 if n else OUTSIDE, frozenset({n}), (1,)) for n in range(count)]
    return Regions(None, ((),) * count, tuple(tensors))


def times(int8, real, convert=1e-6):
    return Times(tuple(int8), tuple(real), (convert,) * len(int8), (convert,) * len(int8))


def test_a_slow_region_goes_when_the_conversions_pay():
    regions = chain(4)
    slow = times([5e-6, 20e-6, 5e-6, 5e-6], [50e-6, 10e-6, 50e-6, 50e-6])
    assert choose_float(regions, slow) == {1}
    assert choose_float(regions, replace(slow, quantize=(9e-6,) * 4, dequantize=(9e-6,) * 4)) == frozenset()
    assert choose_float(regions, slow, margin=2.0) == frozenset()


def test_a_run_of_regions_saves_the_conversions_between():
    assert choose_float(chain(4), times([5e-6, 11e-6, 11e-6, 5e-6], [50e-6, 10e-6, 10e-6, 50e-6], 0.9e-6)) == {1, 2}


def test_a_network_that_is_slower_altogether_saves_all_conversions():
    assert choose_float(chain(3), times([10e-6] * 3, [9.9e-6] * 3)) == {0, 1, 2}


def test_what_is_kept_stays_in_int8():
    slow = times([20e-6, 20e-6, 5e-6], [10e-6, 10e-6, 50e-6])
    assert choose_float(chain(3), slow) == {0, 1}
    assert choose_float(chain(3), slow, kept=frozenset({1})) == {0}


def test_regions_without_an_int8_form_are_not_named():
    assert choose_float(chain(3), times([5e-6, None, 5e-6], [50e-6, 3e-6, 50e-6])) == frozenset()


def test_the_total_is_what_the_cut_minimises():
    regions, t = chain(3), times([5e-6, 20e-6, 5e-6], [50e-6, 10e-6, 50e-6])
    assert t.of(regions, frozenset({1})) == pytest.approx(5e-6 + 10e-6 + 5e-6 + 3e-6)
    assert t.of(regions, frozenset()) == pytest.approx(30e-6 + 1e-6)
