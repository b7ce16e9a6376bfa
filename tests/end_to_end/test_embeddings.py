"""A network of language with a table worth keeping in int8: its package, its QDQ file, and that file as a network."""

import numpy as np
import pytest

import octet
from octet.passes.export.onnx_qdq import export_qdq
from octet.passes.pipeline import to_integers
from octet.passes.realize.promise import promises
from octet.passes.referee import reference
from octet.targets.opening import open_session

from .. import language_network

TOKENS, LENGTH = 3000, 9


@pytest.fixture(scope="module")
def quantized(tmp_path_factory):
    """(the hub, that of its own QDQ file)."""
    folder = tmp_path_factory.mktemp("embeddings")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(language_network, "TOKENS", TOKENS)
        language_network.write(folder / "net.onnx")
        arrays = language_network.samples(32, LENGTH)
    hub = octet.quantize(
        octet.load_onnx(folder / "net.onnx", dims={"sequence": LENGTH}), arrays, octet.Recipe(calibrator="max")
    )
    export_qdq(hub, folder / "net.qdq.onnx")
    return hub, octet.quantize(octet.load_onnx(folder / "net.qdq.onnx"))


def tables(hub):
    """The operands of its look-ups of int8 rows."""
    (block,) = to_integers(hub)[1]["main"].body.blocks
    calls = [
        binding.value
        for binding in block.bindings
        if getattr(getattr(binding.value, "op", None), "name", "") == "octet.embedding"
    ]
    return [[arg.value.numpy() for arg in call.args[:2]] for call in calls]


def test_the_package(quantized):
    hub, _ = quantized
    package = octet.compile(hub, targets=["native"])
    (variant,) = package.variants
    # The table alone takes twice as much in float32.
    assert variant.weights.size < 4 * TOKENS * language_network.WIDTH / 2
    assert "relax.take" not in {one["operator"] for one in package.info["operators"]["reasons"]}
    feed = language_network.samples(1, LENGTH, seed=7)
    found = open_session(variant).run(feed)
    for spec, promise, wanted in zip(
        variant.outputs, promises(to_integers(hub)[1]), reference.run(to_integers(hub)[1], feed), strict=True
    ):
        assert promise.kind != "bytes" or found[spec.name].tobytes() == wanted.tobytes()
        np.testing.assert_allclose(found[spec.name], wanted, rtol=0.02, atol=0.02)


def test_its_file_has_the_same_integers(quantized):
    ((table, scales),), ((codes, steps),) = map(tables, quantized)
    assert codes.tobytes() == table.tobytes() and steps.tobytes() == scales.tobytes()
