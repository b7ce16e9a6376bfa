"""Rescaling leaves every bit of the fp32 function and makes uneven channels quantisable."""

import numpy as np
import pytest

from octet.passes.annotate import Recipe
from octet.passes.repair.equalize_channels import EqualizeChannels
from octet.passes.repair.migrate_scales import MigrateScales
from octet.passes.repair.scale_channels import magnitudes, power_of_two
from octet.passes.repair.streams import streams_of
from octet.passes.sensitivity.bench import Bench
from octet.passes.sensitivity.design import Design
from octet.passes.sensitivity.taps import channel_maxima
from octet.targets.errors import OctetError


def test_streams_of_a_chain(toy, normed):
    assert [(s.channels, len(s.makers), len(s.readers)) for s in streams_of(toy.module)] == [(8, 1, 1), (12, 1, 1)]
    assert [(s.channels, len(s.makers), len(s.readers)) for s in streams_of(normed.module)] == [(8, 1, 1), (12, 1, 1)]


def test_equalising_changes_no_bit(toy, samples, run):
    equalized = EqualizeChannels()(toy.module)
    assert np.array_equal(run(equalized, samples), run(toy.module, samples))
    stream = streams_of(equalized)[0]
    made, read = magnitudes(equalized, stream.makers, 8), magnitudes(equalized, stream.readers, 8)
    ratio = np.log2(read / made)
    assert np.ptp(ratio) <= 2.0 + 1e-6, "equal within the rounding of the factor to a power of two"


@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_migration_changes_no_bit(toy, normed, samples, run, strength):
    for model in (toy, normed):
        tensors = [name for stream in streams_of(model.module) for name in stream.tensors]
        migrated = MigrateScales(strength, channel_maxima(model, tensors, samples))(model.module)
        assert np.array_equal(run(migrated, samples), run(model.module, samples))


def test_migration_needs_data_of_the_stream(toy):
    assert MigrateScales(0.5, {})(toy.module) is toy.module


def test_migration_refuses_a_strength_beyond_one():
    with pytest.raises(OctetError, match="between 0 and 1"):
        MigrateScales(1.5, {})


def test_factors_are_powers_of_two_around_one():
    factor = power_of_two(np.array([3.0, 12.0, 0.0, np.inf, 48.0]))
    assert factor.tolist() == [0.25, 1.0, 1.0, 1.0, 4.0]


@pytest.mark.parametrize("kind", ["toy", "normed"])
def test_uneven_channels_are_recovered(kind, samples, request):
    bench = Bench(request.getfixturevalue(kind), samples, threads=1)
    plain = bench.error(Design(Recipe(calibrator="max")))
    repaired = min(bench.error(Design(Recipe(calibrator="max"), scaling)) for scaling in ("equalize", "migrate-0.5", "migrate-1.0"))
    assert repaired < plain / 4
