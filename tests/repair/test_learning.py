"""Rounding and bias correction: better on their own objective, and nothing but the hub changes."""

import numpy as np
import pytest

from octet.passes.annotate import Recipe
from octet.passes.annotate.graph import Graph, array_of
from octet.passes.repair.add_biases import AddBiases
from octet.passes.repair.correct_biases import CorrectBiases, bias_delta
from octet.passes.repair.moments import Moments
from octet.passes.repair.round_weights import RoundWeights, round_layer
from octet.passes.repair.rows import as_matrix, from_matrix, places, rows_at
from octet.passes.repair.weights import layers_of, replace_constants
from octet.passes.sensitivity.bench import Bench
from octet.passes.sensitivity.design import Design


def test_biases_are_added_once_and_change_no_bit(toy, samples, run):
    number, layer = next(iter(layers_of(toy.module).items()))
    assert AddBiases()(AddBiases()(toy.module)) is not None and all(found.bias is not None for found in layers_of(AddBiases()(toy.module)).values())
    assert np.array_equal(run(AddBiases()(toy.module), samples), run(toy.module, samples))


@pytest.mark.parametrize("groups", [1, 4])
def test_rounding_lowers_the_error_of_the_layer(groups):
    rng = np.random.default_rng(3)
    weight = rng.standard_normal((groups, 18, 6)).astype(np.float32)
    scale = np.abs(weight).max(1) / 7
    rows = np.rint(rng.standard_normal((300, groups, 18)) @ np.triu(np.ones((18, 18))) * 2).astype(np.float32) / 8
    nearest = np.rint(weight / scale[:, None])
    learnt = round_layer(weight, scale, moments_of(rows, 0.125), centred=False)

    def error(q):
        return float(np.sum(np.einsum("rgk,gko->rgo", rows, weight - q * scale[:, None]) ** 2))

    assert np.abs(learnt - weight / scale[:, None]).max() <= 1 + 1e-4
    assert error(learnt) < 0.7 * error(nearest)


def moments_of(rows, scale):
    """Of rows that are whole multiples of scale, quantised without error."""
    made = Moments(*rows.shape[1:], scale)
    made.add(rows, np.rint(rows / scale).astype(np.int16))
    return made


def test_moments_are_exact_however_the_rows_come():
    rng = np.random.default_rng(7)
    integers = rng.integers(-255, 256, (1000, 3, 20)).astype(np.int16)
    rows = (integers + rng.uniform(-0.5, 0.5, integers.shape)) * np.float32(0.25)
    whole, parts = Moments(3, 20, 0.25), Moments(3, 20, 0.25)
    whole.add(rows, integers)
    for some in np.split(np.arange(1000), [1, 30, 400, 900]):
        parts.add(rows[some], integers[some])
    exact = np.einsum("rgk,rgl->gkl", integers.astype(np.int64), integers.astype(np.int64))
    assert np.array_equal(np.rint(whole.gram(False) * 16000), exact) and np.array_equal(whole.gram(False), parts.gram(False))
    centred = (integers - integers.mean(0)).transpose(1, 0, 2)
    np.testing.assert_allclose(whole.gram(True) * 16000, centred.transpose(0, 2, 1) @ centred, rtol=1e-9, atol=1e-3)
    np.testing.assert_allclose(whole.means()[0], rows.mean(0), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(whole.means()[1], integers.mean(0) * 0.25, rtol=1e-9)


def test_places_of_a_linear_layer_are_no_padding():
    kept = np.array([True, False, True, True, False, False])
    rng = np.random.default_rng(0)
    assert set(places((2, 3, 8), 10, None, (), rng, kept)[:, 0]) == {0, 2, 3} and len(places((2, 3, 8), 2, None, (), rng, kept)) == 2
    for nothing in (None, np.zeros(6, bool), np.ones(5, bool)):  # no mask, a sample without a real place, a mask of something else
        assert set(places((2, 3, 8), 10, None, (), rng, nothing)[:, 0]) == set(range(6))


def test_bias_delta_is_the_mean_error():
    rng = np.random.default_rng(4)
    rows, weight = rng.integers(0, 256, (500, 1, 10)).astype(np.float32) / 256, rng.standard_normal((1, 10, 3)).astype(np.float32)
    rough = np.round(weight * 2) / 2
    delta = bias_delta(weight, rough, moments_of(rows, 1 / 256))
    missing = rows[:, 0] @ weight[0] - (rows[:, 0] @ rough[0] + delta)
    np.testing.assert_allclose(missing.mean(0), 0, atol=1e-5)


def test_rows_are_the_convolution():
    rng = np.random.default_rng(5)
    attrs = {"padding": [1, 0, 1, 2], "strides": [2, 1], "dilation": [1, 2]}
    x, weight = rng.standard_normal((2, 4, 7, 9)).astype(np.float32), rng.standard_normal((6, 2, 3, 3)).astype(np.float32)
    where = places(x.shape, 10_000, attrs, (3, 3), rng)
    rows = rows_at(x, where, attrs, (3, 3), 2)
    found = np.einsum("rgk,gko->rgo", rows, as_matrix(weight, 2)).reshape(len(rows), 6)
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (0, 2)))
    for row, (n, i, j) in list(zip(found, where))[::7]:
        patch = padded[n, :, i * 2 : i * 2 + 3, j : j + 5 : 2]
        expected = [np.sum(patch[2 * (o // 3) : 2 * (o // 3) + 2] * weight[o]) for o in range(6)]
        np.testing.assert_allclose(row, expected, rtol=2e-4, atol=2e-4)
    assert np.array_equal(from_matrix(as_matrix(weight, 2), weight.shape), weight)


def test_repairs_change_the_hub_and_not_the_fp32_network(toy, samples):
    bench = Bench(toy, samples, threads=1)
    recipe = Recipe(weights="per-tensor")
    plain, repaired = bench.hub(Design(recipe)), bench.hub(Design(recipe, rounding=True, biases=True))
    assert plain.model is repaired.model
    constants = [[array_of(x) for node in Graph(q.module).nodes for x in node.inputs if not hasattr(x, "name")] for q in (plain, repaired)]
    moved = [not np.array_equal(a, b) for a, b in zip(*constants, strict=True)]
    assert 4 <= sum(moved) <= 6, "int8 weights and biases of three layers"
    assert bench.error(Design(recipe, rounding=True, biases=True)) < bench.error(Design(recipe))


def test_nothing_learnt_changes_nothing(toy, samples):
    hub = Bench(toy, samples, threads=1).hub(Design(Recipe())).module
    assert RoundWeights({})(hub) is hub and CorrectBiases({})(hub) is hub


def test_a_weight_moves_by_one_step_at_most(toy, samples):
    hub = Bench(toy, samples, threads=1).hub(Design(Recipe())).module
    with pytest.raises(AssertionError, match="more than one step"):
        RoundWeights({0: np.full((8, 3, 3, 3), 127, np.int8)})(hub)


def test_constants_keep_their_shape(toy):
    index, layer = next(iter(layers_of(toy.module).items()))
    changed = layers_of(replace_constants(toy.module, {(index, 1): np.zeros(layer.weight.size)}))
    assert changed[index].weight.shape == layer.weight.shape and not changed[index].weight.any()
