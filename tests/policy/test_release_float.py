"""A released region computes as the fp32 network does; everything else stays as it was."""

import numpy as np
import pytest

from octet.passes import ops
from octet.passes.lower.build import build_variant
from octet.passes.policy.regions import OUTSIDE, regions_of
from octet.passes.policy.release_float import ReleaseFloat
from octet.passes.realize.fuse_float import FuseFloat
from octet.passes.realize.realize import realize
from octet.targets import detect
from octet.targets.opening import open_session

from .conftest import CHANNELS, SIZE, alternating, sequence


def run(quantized, module, x):
    model = quantized.model
    variant = build_variant(FuseFloat()(module), detect.native(), model.inputs, model.outputs, "net")
    return next(iter(open_session(variant, threads=1).run({"x": x}).values()))


def release(quantized, floats):
    regions = regions_of(quantized.module)
    return realize(ReleaseFloat(regions, frozenset(floats), quantized.model.module)(quantized.module))


@pytest.fixture(scope="module")
def row(quantize):
    return quantize(sequence)


def test_regions_of_a_row(row):
    regions = regions_of(row.module)
    names = [{var.name for var in members} for members in regions.members]
    assert [sum(name.startswith("conv") for name in group) >= 1 for group in names] == [True] * 3
    ends = {(t.producer, t.readers) for t in regions.tensors}
    assert (OUTSIDE, frozenset({0})) in ends and (0, frozenset({1})) in ends, (
        "conv0 is read by conv1 and by the sum behind it, which is of the same region"
    )


def test_all_released_is_the_network_in_fp32(row):
    x = np.random.default_rng(1).standard_normal((1, CHANNELS, SIZE, SIZE)).astype(np.float32)
    released = release(row, range(3))
    assert all(layer.dtype == "float32" for layer in released.layers)
    np.testing.assert_array_equal(run(row, released.module, x), run(row, row.model.module, x))


def test_before_and_expected(row, becomes, unchanged):
    """Every region released leaves the network that was quantised, none the hub."""
    regions, original = regions_of(row.module), row.model.module
    becomes(ReleaseFloat(regions, frozenset(range(3)), original), row.module, original)
    unchanged(ReleaseFloat(regions, frozenset(), original), row.module)


def test_one_region_released(row):
    released = release(row, [1])
    kinds = {
        layer.name: layer.dtype
        for layer in released.layers
        if layer.operator == "relax.nn.conv2d" or layer.operator == "octet.conv2d"
    }
    assert kinds == {"conv0": "int8", "conv1": "float32", "conv2": "int8"}
    x = np.random.default_rng(1).standard_normal((1, CHANNELS, SIZE, SIZE)).astype(np.float32)
    exact, mixed, integer = (
        run(row, module, x) for module in (row.model.module, released.module, realize(row.module).module)
    )
    error = lambda y: float(np.abs(y - exact).mean())
    assert 0 < error(mixed) < 1.2 * error(integer)


def test_nothing_released_is_the_same_graph(row):
    before, after = realize(row.module), release(row, [])
    assert [(layer.name, layer.dtype) for layer in before.layers] == [
        (layer.name, layer.dtype) for layer in after.layers
    ]


def test_no_conversion_is_left_around_a_lone_layer(quantize):
    quantized = quantize(lambda path: alternating(path, 1))
    released = release(quantized, range(len(regions_of(quantized.module).members)))
    values = [binding.value for block in released.module["main"].body.blocks for binding in block.bindings]
    assert not any(ops.is_op(value, "relax.quantize", "relax.dequantize") for value in values)
