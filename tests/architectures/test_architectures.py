"""Small versions of well-known architectures: compiled, they equal the referee byte for byte, and their matrix products
are int8."""

import sys
from pathlib import Path

import numpy as np
import pytest

import octet
from octet.passes.calibrate.quantize import quantize
from octet.passes.lower.build import build_variant
from octet.passes.pipeline import canonicalize
from octet.passes.realize.fuse_float import FuseFloat
from octet.passes.realize.realize import realize
from octet.passes.referee.reference import run
from octet.targets import detect
from octet.targets.runtime import Session

sys.path.insert(0, str(Path(__file__).parent))
from build import NETWORKS, samples
from vision import NETWORKS as VISION

TINY = {"size": 32, "depth": 0.15, "width": 0.25, "classes": 7}
# Of token numbers, which are kept within the table: no work.
LOOKUPS = {"relax.add", "relax.astype", "relax.less", "relax.maximum", "relax.minimum", "relax.take", "relax.where"}
CASES = {
    "resnet152": ({**TINY, "depth": 0.06, "width": 0.125}, set()),
    "mobilenet_v1": ({**TINY, "width": 0.125}, set()),
    "mobilenet_v2": ({**TINY, "depth": 0.25}, set()),
    "efficientnet_b0": (TINY, set()),
    "mobilenet_v3": (TINY, set()),
    "densenet121": ({**TINY, "depth": 0.1}, set()),
    "inception_v3": ({**TINY, "size": 75, "width": 0.125}, set()),
    "bert_base": ({"layers": 1, "width": 64, "heads": 2, "tokens": 12, "vocabulary": 100}, LOOKUPS),
    "vit_b16": ({"layers": 1, "width": 64, "heads": 2, "size": 32, "patch": 8, "classes": 7}, set()),
}


def compiled(name, folder, **options):
    """(integer module, Variant, quantized, inputs of one run)."""
    NETWORKS[name](folder / f"{name}.onnx", **options)
    arrays = samples(folder / f"{name}.onnx", 2)
    model = canonicalize(octet.load_onnx(folder / f"{name}.onnx"))
    # The referee runs the calibration: it needs no second compilation.
    factory = lambda observed: lambda inputs: run(observed, inputs)
    quantized = quantize(model, arrays, octet.Recipe(calibrator="max"), executor_factory=factory, summaries=False)
    realized = realize(quantized.module)
    module = FuseFloat()(realized.module)
    variant = build_variant(module, detect.resolve("native"), quantized.model.inputs, quantized.model.outputs, name)
    return realized, module, variant, {spec.name: arrays[spec.name][: spec.shape[0]] for spec in quantized.model.inputs}


def assert_equal(module, variant, feed):
    results = Session(variant).run(feed)
    for spec, wanted in zip(variant.outputs, run(module, feed), strict=True):
        np.testing.assert_array_equal(results[spec.name], wanted)


@pytest.mark.parametrize("name", CASES)
def test_equals_the_referee(name, tmp_path):
    options, without_kernel = CASES[name]
    realized, module, variant, feed = compiled(name, tmp_path, **options)
    assert set(variant.extra["fallbacks"]) <= without_kernel
    products = [layer for layer in realized.layers if layer.operator in ("octet.conv2d", "octet.dense", "octet.matmul")]
    assert products and all(layer.dtype == "int8" for layer in products)
    if name in VISION:  # Nothing stays in float here, squeeze-and-excite blocks included.
        assert {layer.dtype for layer in realized.layers} == {"int8"}
    assert_equal(module, variant, feed)


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_recurrent_networks(kind, tmp_path):
    realized, module, variant, feed = compiled(
        "recurrent", tmp_path, kind=kind, inputs=10, hidden=20, steps=3, layers=1, classes=5
    )
    assert not variant.extra["fallbacks"]
    layers = [layer for layer in realized.layers if layer.operator == "octet.dense"]
    assert len(layers) == 7 and all(
        layer.dtype == "int8" for layer in layers
    )  # They are two input projections, four steps and the last layer.
    kernels = {step.name.split(":")[1] for step in variant.steps if "dense" in step.name}
    listed = any(
        "_listed" in kernel for kernel in kernels
    )  # Without VNNI a kernel may depend on the weights, and each direction has its own.
    assert len(kernels) in ((3, 4) if listed else (3,))  # All steps share one kernel.
    assert_equal(module, variant, feed)
