"""Outlier channels that nothing absorbs: a multiplication in front of the linear layers that read them, other readers
as they were."""

import numpy as np
import pytest
from tvm import relax

from octet.passes import ops
from octet.passes.annotate import Recipe
from octet.passes.annotate.graph import Graph
from octet.passes.repair.smooth_inputs import SmoothInputs, smoothable
from octet.passes.sensitivity.bench import Bench
from octet.passes.sensitivity.design import Design

from . import post_norm

WIDTH = post_norm.WIDTH
LEVELS = np.where(np.arange(WIDTH) == 3, 64.0, 1.0)
SAMPLES = {"x": np.random.default_rng(1).standard_normal((48, post_norm.TOKENS, WIDTH)).astype(np.float32)}


def norm_and_layer(factor, shape=(2, 4)):
    """layer_norm(x) [* factor], a linear layer that reads it, and a sum that reads it without the factor."""
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((4, 6)).astype(np.float32)
    builder, x = relax.BlockBuilder(), relax.Var("x", relax.TensorType(shape, "float32"))
    ones = relax.const(np.ones(4, np.float32))
    with builder.function("main", [x]):
        with builder.dataflow():
            normed = builder.emit(relax.op.nn.layer_norm(x, ones, ones, axes=[-1]))
            read = normed if factor is None else builder.emit(relax.op.multiply(normed, relax.const(factor)))
            weight = weight if factor is None else weight / factor[:, None]
            made = builder.emit(relax.op.matmul(read, relax.const(weight)))
            rest = builder.emit(relax.op.add(normed, x))
            result = builder.emit_output(relax.Tuple([made, rest]))
        builder.emit_func_output(result)
    return builder.get()


def name_of_norm(module):
    return next(node.var.name for node in Graph(module).nodes if ops.is_op(node.value, "relax.nn.layer_norm"))


def test_what_linear_layers_read_is_multiplied_and_what_sums_read_is_not(becomes):
    before = norm_and_layer(None)
    step = SmoothInputs({name_of_norm(before): np.array([1, 1, 64, 1], np.float32)})
    after = step(before)
    factor = next(
        node.inputs[1].value.numpy() for node in Graph(after).nodes if ops.is_op(node.value, "relax.multiply")
    )
    assert (
        np.argmin(factor) == 2
        and factor[2] <= factor.max() / 8
        and np.array_equal(np.exp2(np.rint(np.log2(factor))), factor)
    )
    becomes(step, before, norm_and_layer(factor))


def test_even_channels_and_unknown_tensors_stay(unchanged):
    before = norm_and_layer(None)
    # Factors of one are not worth a multiplication.
    unchanged(SmoothInputs({name_of_norm(before): np.ones(4, np.float32)}), before)
    unchanged(SmoothInputs({}), before)


def test_rank_4_stays_as_its_magnitudes_are_of_another_axis():
    module = norm_and_layer(None, (1, 2, 3, 4))
    assert smoothable(module) == {} and set(smoothable(norm_and_layer(None, (1, 3, 4)))) == {name_of_norm(module)}


def test_what_a_stream_absorbs_is_not_multiplied(normed):
    assert smoothable(normed.module, tables=True) == {}, "the layer normalisation takes the factor itself"


@pytest.fixture(scope="module")
def block(tmp_path_factory):
    return post_norm.load(tmp_path_factory.mktemp("block") / "block.onnx", LEVELS)


@pytest.fixture(scope="module")
def bench(block):
    return Bench(block, SAMPLES, threads=1)


def test_tables_are_smoothed_behind_on_request(block):
    norms, both = smoothable(block.module), smoothable(block.module, tables=True)
    assert len(norms) == 1 and len(both) == 2


def test_outliers_are_recovered_and_fp32_is_not_changed(bench, block):
    design = Design(Recipe(residuals="float", calibrator="max"))
    errors = {scaling: bench.error(Design(design.recipe, scaling)) for scaling in ("", "migrate-0.5", "smooth")}
    assert errors["smooth"] < errors[""] / 4 and errors["smooth"] < errors["migrate-0.5"] / 4
    exact = bench.float_outputs(bench.held)
    largest = {name: np.where(np.arange(WIDTH) == 3, 64, 1).astype(np.float32) for name in smoothable(block.module)}
    smoothed = Bench(block.after(SmoothInputs(largest)), SAMPLES, threads=1)
    found = smoothed.float_outputs(bench.held)
    assert all(np.array_equal(exact[name], found[name]) for name in exact)


def test_only_tables_that_are_smoothed_behind_leave_int8(tmp_path):
    bench = Bench(post_norm.load(tmp_path / "peak.onnx", LEVELS, peak=40.0), SAMPLES, threads=1)
    recipe = Recipe(residuals="float")
    plain, smooth, tables = (
        {d.name: d.dtype for d in bench.plan(Design(recipe, scaling)).decisions}
        for scaling in ("", "smooth", "smooth-tables")
    )
    assert {name: dtype for name, dtype in smooth.items() if name in plain} == plain
    assert {name for name in plain if tables[name] != plain[name]} == {"gelu"}
