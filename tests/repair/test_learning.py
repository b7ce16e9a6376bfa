"""Rounding and bias correction: better on their own objective, and nothing but the hub changes."""

import numpy as np
import pytest
from tvm import relax

from octet.passes.annotate import Recipe
from octet.passes.annotate.graph import Graph
from octet.passes.constants import array_of
from octet.passes.repair.add_biases import AddBiases
from octet.passes.repair.correct_biases import CorrectBiases
from octet.passes.repair.moments import Moments
from octet.passes.repair.round_weights import RoundWeights, round_layer
from octet.passes.repair.sampled_rows import as_matrix, from_matrix, rows_at, sampled_places
from octet.passes.repair.weights import layers_of, replace_constants
from octet.passes.sensitivity.bench import Bench
from octet.passes.sensitivity.design import Design


def test_biases_are_added_once_and_change_no_bit(toy, samples, run):
    number, layer = next(iter(layers_of(toy.module).items()))
    assert AddBiases()(AddBiases()(toy.module)) is not None and all(
        found.bias is not None for found in layers_of(AddBiases()(toy.module)).values()
    )
    assert np.array_equal(run(AddBiases()(toy.module), samples), run(toy.module, samples))


def network(body):
    builder, x = relax.BlockBuilder(), relax.Var("x", relax.TensorType((1, 2, 3, 3), "float32"))
    with builder.function("main", [x]):
        with builder.dataflow():
            result = builder.emit_output(relax.Tuple([body(builder.emit, x)]))
        builder.emit_func_output(result)
    return builder.get()


def layer(weight, bias=None):
    """A convolution of one pixel in float32."""

    def body(emit, x):
        y = emit(relax.op.nn.conv2d(x, relax.const(np.float32(weight)[:, :, None, None])))
        return y if bias is None else emit(relax.op.add(y, relax.const(np.float32(bias).reshape(1, -1, 1, 1))))

    return network(body)


def quantized(weight, bias):
    """The same in a hub, with int8 weights."""

    def body(emit, x):
        scale, zero = relax.const(np.float32(0.5)), relax.const(np.int8(3))
        data = emit(relax.op.dequantize(emit(relax.op.quantize(x, scale, zero, -1, "int8")), scale, zero, -1))
        scales, zeros = relax.const(np.float32([0.5, 0.25, 1])), relax.const(np.int8([0, 0, 0]))
        steps = relax.const(np.int8(weight)[:, :, None, None])
        y = emit(relax.op.nn.conv2d(data, emit(relax.op.dequantize(steps, scales, zeros, axis=0))))
        return emit(relax.op.add(y, relax.const(np.float32(bias).reshape(1, -1, 1, 1))))

    return network(body)


WEIGHT = [[5, -7], [0, 127], [-3, 2]]


def test_biases_before_and_expected(becomes, unchanged):
    becomes(AddBiases(), layer(WEIGHT), layer(WEIGHT, [0, 0, 0]))
    unchanged(AddBiases(), layer(WEIGHT, [1, 2, 3]))


def test_rounding_before_and_expected(becomes, unchanged):
    learnt = [[4, -7], [1, 126], [-3, 2]]
    step = RoundWeights({0: np.int8(learnt)[:, :, None, None]})
    becomes(step, quantized(WEIGHT, [1, 2, 3]), quantized(learnt, [1, 2, 3]))
    unchanged(step, layer(WEIGHT, [1, 2, 3]))


def test_correction_before_and_expected(becomes, unchanged):
    step = CorrectBiases({0: np.float32([0.5, -1, 0])})
    becomes(step, quantized(WEIGHT, [1, 2, 3]), quantized(WEIGHT, [1.5, 1, 3]))
    unchanged(step, layer(WEIGHT, [1, 2, 3]))


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


def test_rounding_in_blocks_is_rounding_tap_by_tap():
    """More taps than a window has: the error is that of plain coordinate descent in float64, up to what grids of 16
    bits round away."""
    rng = np.random.default_rng(11)
    rows = np.rint(rng.standard_normal((600, 1, 300)) @ rng.standard_normal((300, 300)) * rng.uniform(0.2, 4, 300)) / 8
    rows = np.clip(rows, -3, 15).astype(np.float32)
    weight = rng.standard_normal((1, 300, 3)).astype(np.float32)
    scale, gram = np.abs(weight).max(1) / 31, rows[:, 0].T.astype(np.float64) @ rows[:, 0] / len(rows)
    gram += np.eye(300) * 0.01 * np.trace(gram) / 300
    ratio = (weight[0] / scale).astype(np.float64)
    q = np.rint(ratio)
    for _ in range(4):
        for k in range(300):
            other = np.where(q[k] == np.floor(ratio[k]), np.ceil(ratio[k]), np.floor(ratio[k]))
            slope = gram[k] @ (q - ratio)
            q[k] = np.where(2 * (other - q[k]) * slope + (other - q[k]) ** 2 * gram[k, k] < 0, other, q[k])

    def error(found):
        return np.einsum("ko,kl,lo->o", found - ratio, gram, found - ratio)

    learnt = round_layer(weight, scale, moments_of(rows, 0.125), centred=False)[0]
    np.testing.assert_allclose(error(learnt), error(q), rtol=0.05)
    assert (error(learnt) < 0.7 * error(np.rint(ratio))).all()


def moments_of(rows, scale):
    """Of rows that are whole multiples of scale, quantised without error."""
    made = Moments(*rows.shape[1:], scale, -100)
    made.add(np.rint(rows / scale) - 100)
    return made


@pytest.mark.parametrize("taps", [20, 200])  # Products are squared as they come, and only when they are asked for.
def test_moments_are_exact_however_the_rows_come(taps):
    rng = np.random.default_rng(7)
    codes = rng.integers(-128, 128, (1100, 2, taps)).astype(np.int8)
    integers = codes.astype(np.int64) + 90
    whole, parts = Moments(2, taps, 0.25, -90), Moments(2, taps, 0.25, -90)
    whole.add(codes)
    for some in np.split(np.arange(1100), [1, 30, 400, 1050]):
        parts.add(codes[some])
    exact = np.einsum("rgk,rgl->gkl", integers, integers)
    assert np.array_equal(np.rint(whole.gram(False) * 16 * 1100), exact) and np.array_equal(
        whole.gram(False), parts.gram(False)
    )
    centred = (integers - integers.mean(0)).transpose(1, 0, 2)
    np.testing.assert_allclose(whole.gram(True) * 16 * 1100, centred.transpose(0, 2, 1) @ centred, rtol=1e-9, atol=1e-3)


def test_places_of_a_linear_layer_are_no_padding():
    kept = np.array([True, False, True, True, False, False])
    rng = np.random.default_rng(0)
    assert (
        set(sampled_places((2, 3, 8), 10, None, (), rng, kept)[:, 0]) == {0, 2, 3}
        and len(sampled_places((2, 3, 8), 2, None, (), rng, kept)) == 2
    )
    for nothing in (
        None,
        np.zeros(6, bool),
        np.ones(5, bool),
    ):  # There is no mask, a sample without a real place, or a mask of something else.
        assert set(sampled_places((2, 3, 8), 10, None, (), rng, nothing)[:, 0]) == set(range(6))


def test_rows_are_the_convolution():
    rng = np.random.default_rng(5)
    attrs = {"padding": [1, 0, 1, 2], "strides": [2, 1], "dilation": [1, 2]}
    x, weight = (
        rng.standard_normal((2, 4, 7, 9)).astype(np.float32),
        rng.standard_normal((6, 2, 3, 3)).astype(np.float32),
    )
    where = sampled_places(x.shape, 10_000, attrs, (3, 3), rng)
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
    constants = [
        [array_of(x) for node in Graph(q.module).nodes for x in node.inputs if not hasattr(x, "name")]
        for q in (plain, repaired)
    ]
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
