"""A Cast of 8-bit integers lies on a grid of scale 1: nothing is measured, nothing rounded or clipped."""

import numpy as np
import pytest
from tvm import relax

import octet.passes  # noqa: F401 - registers the operators
from octet.passes.annotate import Annotate, Recipe
from octet.passes.calibrate.collect import edges_of
from octet.passes.calibrate.quantize import quantize
from octet.passes.frontend.model import Model, TensorSpec
from octet.passes.pipeline import to_integers
from octet.passes.referee import reference

GRIDS = {
    ("int8", "affine"): (1.0, 0),
    ("uint8", "affine"): (1.0, -128),
    ("int8", "symmetric"): (1.0, 0),
    ("uint8", "symmetric"): (float(np.float32(255 / 127)), 0),
}


def network(dtype, floats=False):
    """Cast, turned from channels last, and a linear layer of ones and zeros: [2, 3, 4] -> [2, 4, 3]; floats: the Cast
    is joined with an input in front of it."""
    builder = relax.BlockBuilder()
    x, y = relax.Var("x", relax.TensorType((2, 3, 4), dtype)), relax.Var("y", relax.TensorType((2, 3, 4), "float32"))
    with builder.function("main", [x, y] if floats else [x]):
        with builder.dataflow():
            value = builder.emit(relax.op.astype(x, "float32"), "cast")
            if floats:
                value = builder.emit(relax.op.concat([value, y], axis=1), "joined")
            value = builder.emit(relax.op.permute_dims(value, [0, 2, 1]), "turned")
            weight = relax.const(np.eye(int(value.ty.shape.values[-1]), 3, dtype=np.float32))
            result = builder.emit_output(builder.emit(relax.op.matmul(value, weight), "linear"))
        builder.emit_func_output(result)
    return builder.get()


def calibrated(dtype, activations):
    """The hub, calibrated with small values."""
    module = network(dtype)
    model = Model(
        module, (TensorSpec("x", (2, 3, 4), dtype),), (TensorSpec("linear", (2, 4, 3), "float32"),), "tiny", "0" * 64, 2
    )
    few = {"x": np.random.default_rng(0).integers(1, 9, (8, 3, 4)).astype(dtype)}
    executor = lambda built: lambda feed: reference.run(built, feed)
    return quantize(model, few, Recipe(activations=activations), executor_factory=executor, summaries=False)


@pytest.mark.parametrize("dtype, activations", GRIDS)
def test_the_grid_is_that_of_the_integers(dtype, activations):
    hub = calibrated(dtype, activations)
    assert [(edge.tensor, edge.spec) for edge in hub.edges if edge.spec != "weight"] == [
        ("cast", "fixed"),
        ("turned", "shared"),
    ]
    (found,) = hub.qparams.values()
    assert (found.scale, found.zero_point) == GRIDS[dtype, activations]


@pytest.mark.parametrize("dtype, activations", [key for key in GRIDS if key != ("uint8", "symmetric")])
def test_no_integer_is_rounded_or_clipped(dtype, activations):
    limits = np.iinfo(dtype)
    x = np.linspace(limits.min, limits.max, 24).round().astype(dtype).reshape(2, 3, 4)
    (found,) = reference.run(to_integers(calibrated(dtype, activations))[1], {"x": x})
    np.testing.assert_array_equal(found, x.transpose(0, 2, 1).astype(np.float32))


def test_joined_with_what_is_no_grid_it_is_measured():
    edges = {edge.tensor: edge for edge in edges_of(Annotate()(network("uint8", floats=True)))}
    assert (
        edges["y"].spec == "own" and edges["cast"].spec == edges["joined"].spec == "shared" and edges["cast"].measured
    )


@pytest.mark.parametrize("dtype", ["int32", "bool"])
def test_other_integers_are_measured(dtype):
    assert [edge.spec for edge in edges_of(Annotate()(network(dtype))) if edge.spec != "weight"] == ["own"]
