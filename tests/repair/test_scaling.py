"""Rescaling leaves every bit of the fp32 function and makes uneven channels quantisable."""

import numpy as np
import pytest
from tvm import relax

from octet.passes.annotate import Recipe
from octet.passes.pipeline import CANONICALIZE
from octet.passes.repair.equalize_channels import EqualizeChannels
from octet.passes.repair.find_streams import streams_of
from octet.passes.repair.migrate_scales import MigrateScales
from octet.passes.repair.scale_channels import centred, magnitudes, power_of_two, sharing
from octet.passes.sensitivity.bench import Bench
from octet.passes.sensitivity.design import Design
from octet.passes.sensitivity.taps import channel_maxima
from octet.targets.errors import OctetError


def canonical(module):
    for step in CANONICALIZE:
        module = step(module)
    return module


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


def chain(first, second):
    """x -> convolution -> ReLU -> convolution, of one pixel; weights by output and input channel."""
    builder, x = relax.BlockBuilder(), relax.Var("x", relax.TensorType((1, 3, 4, 4), "float32"))
    with builder.function("main", [x]):
        with builder.dataflow():
            for weight in (first, second):
                values = np.float32(weight)[:, :, None, None]
                x = builder.emit(relax.op.nn.conv2d(x, relax.const(values)), "layer")
                x = x if weight is second else builder.emit(relax.op.nn.relu(x), "between")
            result = builder.emit_output(relax.Tuple([x]))
        builder.emit_func_output(result)
    return builder.get()


UNEVEN = chain([[4, 1, 0], [1, 0, 0.5], [0, 2, 1]], [[1, 4, 2], [0.5, 1, 1]])


def test_equalising_before_and_expected(becomes, unchanged):
    """Factors sqrt(read / made) = 1/2, 2 and 1."""
    becomes(EqualizeChannels(), UNEVEN, even := chain([[2, 0.5, 0], [2, 0, 1], [0, 2, 1]], [[2, 2, 2], [1, 0.5, 1]]))
    unchanged(EqualizeChannels(), even)


def test_migration_before_and_expected(becomes, unchanged):
    """Factors 1 / activation = 1/8, 1 and 8, whatever reads them."""
    expected = chain([[0.5, 0.125, 0], [1, 0, 0.5], [0, 16, 8]], [[8, 4, 0.25], [4, 1, 0.125]])
    becomes(MigrateScales(1.0, {"between": np.array([8, 1, 0.125])}), UNEVEN, expected)
    unchanged(MigrateScales(1.0, {"elsewhere": np.array([8, 1, 0.125])}), UNEVEN)


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
    repaired = min(
        bench.error(Design(Recipe(calibrator="max"), scaling)) for scaling in ("equalize", "migrate-0.5", "migrate-1.0")
    )
    assert repaired < plain / 4


def branches(join):
    """Two convolutions of which one is 32 times as large, joined, and a convolution that reads both."""
    rng = np.random.default_rng(0)
    const = lambda *shape, scale=1.0: relax.const(
        (rng.standard_normal(shape) * scale / np.sqrt(np.prod(shape[1:]))).astype(np.float32)
    )
    builder, x = relax.BlockBuilder(), relax.Var("x", relax.TensorType((1, 3, 8, 8), "float32"))
    with builder.function("main", [x]):
        with builder.dataflow():
            a = builder.emit(relax.op.nn.relu(builder.emit(relax.op.nn.conv2d(x, const(4, 3, 3, 3, scale=32.0)))))
            b = builder.emit(relax.op.nn.relu(builder.emit(relax.op.nn.conv2d(x, const(4, 3, 3, 3)))))
            joined = builder.emit(join(a, b))
            reader = const(5, int(joined.ty.shape.values[1]), 1, 1).value.numpy().copy()
            reader[:, 4:] *= 32  # The small branch counts as much as the large one.
            result = builder.emit_output(relax.op.nn.conv2d(joined, relax.const(reader)))
        builder.emit_func_output(result)
    return builder.get()


JOINS = {
    "concat": lambda a, b: relax.op.concat([a, b], axis=1),
    "pooled": lambda a, b: relax.op.nn.max_pool2d(relax.op.concat([a, b], axis=1), (2, 2), (2, 2)),
}


@pytest.mark.parametrize("join", JOINS)
@pytest.mark.parametrize("repair", ["equalize", "migrate"])
def test_branches_that_meet_have_one_centre(join, repair, samples, run):
    module = canonical(branches(JOINS[join]))
    (group,) = sharing(streams_of(module))
    assert len(group) == 2
    if repair == "equalize":
        scaled = EqualizeChannels()(module)
    else:
        levels = {tap.name: np.repeat([32.0, 1.0], 4) for stream in group for tap in stream.taps}
        scaled = MigrateScales(1.0, levels)(module)
    before, after = ([magnitudes(m, s.makers, s.channels).max() for s in group] for m in (module, scaled))
    assert before[0] / before[1] > 16 and 0.25 < after[0] / after[1] < 4
    assert np.array_equal(run(scaled, samples), run(module, samples))


def test_streams_of_tensors_of_their_own_have_centres_of_their_own(toy):
    groups = sharing(streams_of(toy.module))
    assert [len(group) for group in groups] == [1, 1]
    found = centred([[(stream, np.full(stream.channels, 8.0))] for (stream,) in groups])
    assert found == [], "a factor that all channels of a tensor have does nothing"
