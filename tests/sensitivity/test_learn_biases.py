"""Biases that are learnt layer by layer give every channel its fp32 mean in the quantised network."""

import numpy as np
import pytest

from octet.passes.annotate import Recipe
from octet.passes.annotate.graph import Graph
from octet.passes.sensitivity.bench import Bench
from octet.passes.sensitivity.configuration import FLOAT
from octet.passes.sensitivity.design import Design
from octet.passes.sensitivity.simulator import Simulator

PLAIN, CORRECTED = Design(Recipe()), Design(Recipe(), biases=True)


def means_of(bench, design):
    """({layer: means by channel in fp32}, the same in the design) of the samples that it learns from, by a simulator
    that runs whole networks."""
    simulator, configuration = bench.prepared(design)
    nodes, layers = Graph(bench.model.module).nodes, bench.layers(design)
    names = {index: nodes[layers[index].bias_index].name for index in configuration.weights}
    tapped = Simulator(
        simulator.model,
        simulator.operands,
        bench.quantized_weights(design),
        taps=tuple(names.values()),
        threads=1,
        libraries=bench.libraries,
    )
    found = []
    for configured in (FLOAT, configuration):
        tapped.configure(configured)
        sums = dict.fromkeys(names, 0.0)
        for sample in bench.fit["x"]:
            values = tapped.run_taps({"x": sample[None]})
            for index, name in names.items():
                value = values[name].astype(np.float64)
                sums[index] += np.moveaxis(value, 1 if value.ndim == 4 else -1, 0).reshape(value.shape[1], -1).mean(1)
        found.append({index: total / len(bench.fit["x"]) for index, total in sums.items()})
    return found


@pytest.fixture(scope="module")
def few(small_model, calibration):
    """A bench whose samples all take part in the learning: 15 of 20."""
    return Bench(small_model, {"x": calibration["x"][:20]}, threads=1)


def test_every_mean_is_that_of_fp32(few):
    exact, plain = means_of(few, PLAIN)
    _, corrected = means_of(few, CORRECTED)
    before, after = (
        sum(float(np.sum((means[index] - exact[index]) ** 2)) for index in exact) for means in (plain, corrected)
    )
    assert before > 0 and after < 1e-6 * before


def test_the_hub_has_the_biases_that_were_measured(few):
    simulated = few.outputs(CORRECTED, few.held)
    assert few.error_of(simulated) != few.error(PLAIN)
    learnt = few.hub(CORRECTED).origin.learnt
    assert learnt and all(np.isfinite(one.bias_delta).all() for one in learnt.values())
    assert sum(float(np.abs(one.bias_delta).max()) for one in learnt.values()) > 0


def test_biases_are_of_what_is_left_in_int8(few):
    """Layers behind one in float do not make up for an error that it no longer has."""
    first = few.plan(PLAIN).groups[0].anchor.name
    partial = CORRECTED.with_recipe(float_operators=frozenset({first}))
    exact, corrected = means_of(few, partial)
    gap = max(float(np.abs(corrected[index] - exact[index]).max()) for index in exact)
    assert gap < 1e-4 * max(float(np.abs(mean).max()) for mean in exact.values())
    whole, part = (few.hub(design).origin.learnt for design in (CORRECTED, partial))
    assert any(not np.array_equal(whole[index].bias_delta, part[index].bias_delta) for index in whole)


def test_one_operator_alone_has_the_biases_of_fp32(few):
    """Corrected biases answer for the errors of all operators together."""
    (group, *_) = few.plan(PLAIN).groups
    members = [node.index for node in group.members]
    alone = [few.outputs_of_part(design, members, few.held) for design in (PLAIN, CORRECTED)]
    assert all(np.array_equal(one, other) for one, other in zip(*(each.values() for each in alone), strict=True))
