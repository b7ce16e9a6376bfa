"""Channels that share a factor: through attention, gates, slices; twins of transformers."""

import sys
from pathlib import Path

import numpy as np
import pytest

from octet.passes.annotate import Recipe
from octet.passes.frontend.onnx import load_onnx
from octet.passes.pipeline import canonicalize
from octet.passes.repair import labels
from octet.passes.repair.equalize_channels import EqualizeChannels
from octet.passes.repair.exponents import Exponents
from octet.passes.repair.find_streams import streams_of
from octet.passes.repair.migrate_scales import MigrateScales
from octet.passes.repair.weights import layers_of
from octet.passes.sensitivity.bench import Bench
from octet.passes.sensitivity.design import Design
from octet.passes.sensitivity.taps import channel_maxima

sys.path.insert(0, str(Path(__file__).parent))
from attention import HIDDEN, TOKENS, WIDTH, save
from twin import rescaled_twin


@pytest.fixture(scope="module", params=[False, True], ids=["three layers", "one layer"])
def block(request, tmp_path_factory):
    return request.param, canonicalize(load_onnx(save(tmp_path_factory.mktemp("block") / "block.onnx", request.param)))


@pytest.fixture(scope="module")
def fused(tmp_path_factory):
    return canonicalize(load_onnx(save(tmp_path_factory.mktemp("block") / "block.onnx", True)))


@pytest.fixture(scope="module")
def tokens():
    return {"x": np.random.default_rng(1).standard_normal((32, TOKENS, WIDTH)).astype(np.float32)}


def test_streams_of_a_transformer(block):
    fused, model = block
    found = [(s.channels, len(s.makers), len(s.readers), len(s.counter_offsets)) for s in streams_of(model.module)]
    norms = (WIDTH, 1, 1 if fused else 3, 0)
    assert found == [norms, (WIDTH, 1, 1, 1), (WIDTH, 1, 1, 0), (WIDTH, 1, 1, 0), (HIDDEN, 1, 1, 0), (WIDTH, 1, 1, 0)]
    queries = streams_of(model.module)[1]
    assert len(queries.taps) == len(queries.counter_taps) == 1
    if fused:
        assert queries.makers[0].places.tolist() == list(range(WIDTH)) and queries.readers[0].places.tolist() == list(
            range(WIDTH, 2 * WIDTH)
        )


def test_the_twin_and_its_repairs_change_no_bit(block, tokens, run):
    model = block[1].with_module(rescaled_twin(block[1].module, seed=3))
    assert not np.array_equal(magnitudes_of(model), magnitudes_of(block[1]))
    tensors = [name for stream in streams_of(model.module) for name in stream.tensors]
    for module in (
        model.module,
        EqualizeChannels()(model.module),
        MigrateScales(0.75, channel_maxima(model, tensors, tokens))(model.module),
    ):
        assert np.array_equal(run(module, tokens), run(block[1].module, tokens))


def magnitudes_of(model):
    return np.concatenate([np.abs(layer.weight).max(0) for layer in layers_of(model.module).values()])


def test_a_twin_of_a_transformer_is_recovered(fused, tokens):
    bench = Bench(fused.with_module(rescaled_twin(fused.module, seed=3)), tokens, threads=1)
    recipe = Recipe(calibrator="max")
    assert bench.error(Design(recipe, "migrate-0.5")) < bench.error(Design(recipe)) / 10


def test_queries_and_keys_become_equally_uneven(fused, tokens):
    twin = fused.with_module(rescaled_twin(fused.module, seed=3))
    tensors = [name for stream in streams_of(twin.module) for name in stream.tensors]
    even = twin.with_module(MigrateScales(1.0, channel_maxima(twin, tensors, tokens))(twin.module))
    largest, stream = channel_maxima(even, tensors, tokens), streams_of(even.module)[1]
    q, k = (largest[taps[0].name][taps[0].places] for taps in (stream.taps, stream.counter_taps))
    ratio = np.log2(k / q)
    assert np.ptp(ratio) <= 2 + 1e-6, "equal within the rounding of the factor to a power of two"


def test_exponents():
    found = Exponents()
    a, b, c = (found.fresh(2) for _ in range(3))
    found.tie(a, b, -1)
    found.tie(b, c, -1)
    (root, sign), (other, same) = found.find(int(a[0])), found.find(int(c[0]))
    assert root == other and sign == same and found.find(int(b[0])) == (root, -sign)
    found.tie(a[:1], c[:1], -1)
    assert found.blocked(found.find(int(b[0]))[0]) and not found.blocked(found.find(int(b[1]))[0])


def test_labels_through_heads():
    linear = labels.labels_along(np.arange(12), 3, -1)
    heads = labels.reshaped_labels(linear, (2, 5, 12), (2, 5, 3, 4))
    assert heads.shape == (1, 1, 3, 4) and np.array_equal(heads.reshape(-1), np.arange(12))
    assert np.array_equal(
        labels.reshaped_labels(heads.transpose(0, 2, 1, 3), (2, 3, 5, 4), (2, 15, 4))[0, ::5],
        np.arange(12).reshape(3, 4),
    )
    assert labels.reshaped_labels(linear, (2, 5, 12), (10, 12)).shape == (1, 12)
