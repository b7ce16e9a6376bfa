"""Post-training quantization as one call."""

import numpy as np
import pytest

from octet.passes.annotate import Recipe
from octet.passes.calibrate.quantize import quantize
from octet.passes.referee import reference
from octet.targets.errors import DataError


def snr(wanted, found):
    """Signal to noise in dB."""
    return 10 * np.log10(np.sum(wanted**2) / max(np.sum((wanted - found) ** 2), 1e-30))


@pytest.fixture(scope="module")
def quantized(model, samples, referee):
    return quantize(model, samples, Recipe(calibrator="max"), executor_factory=referee, summaries=False)


@pytest.mark.parametrize(
    "recipe",
    [Recipe(calibrator=c) for c in ("max", "percentile", "entropy", "mse")]
    + [Recipe(activations="symmetric"), Recipe(weights="per-tensor"), Recipe(float_operators={"second"})],
)
def test_the_hub_is_close_to_fp32(model, samples, referee, recipe):
    q = quantize(model, samples, recipe, executor_factory=referee, summaries=False)
    feed = {"x": samples["x"][:2]}
    (wanted,), (found,) = reference.run(model.module, feed), reference.run(q.module, feed)
    assert snr(wanted, found) > 20


def test_what_it_returns(quantized, model):
    assert quantized.model is model and quantized.recipe.calibrator == "max"
    assert [(d.name, d.dtype) for d in quantized.decisions] == [
        (n, "int8") for n in ("first", "pool", "second", "gate", "gated", "mean", "flat", "linear")
    ]
    assert quantized.qparams.keys() == {edge.group for edge in quantized.edges if edge.spec != "weight"}
    gate = next(edge for edge in quantized.edges if edge.tensor == "gate")
    assert quantized.qparams[gate.group].range == pytest.approx((0.0, 1.0))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: {}, "input 'x' is missing"),
        (lambda s: {"x": s["x"][:, :2]}, "shape"),
        (lambda s: {"x": s["x"][:0]}, "no samples"),
        (lambda s: {"x": np.where(np.arange(7)[:, None, None, None] == 4, np.nan, s["x"])}, "NaN in sample 4"),
        (lambda s: {"x": s["x"] * np.float32(1e30)}, "'x' reaches .*e[+]30"),
    ],
)
def test_bad_samples(model, samples, referee, change, message):
    with pytest.raises(DataError, match=message) as error:
        quantize(model, change(samples), executor_factory=referee, summaries=False)
    assert "\n" not in str(error.value)


def test_bad_samples_in_a_stream(model, samples, referee):
    with pytest.raises(DataError, match="part 1"):
        quantize(model, iter([{"x": samples["x"]}, {"y": samples["x"]}]), executor_factory=referee, summaries=False)


def test_constant_and_dead_tensors(model, referee):
    """All-zero samples: every tensor is constant, most are zero."""
    q = quantize(model, {"x": np.zeros((2, 3, 8, 8), np.float32)}, executor_factory=referee, summaries=False)
    assert all(np.isfinite(p.scale) and p.scale > 0 for p in q.qparams.values())


def test_a_network_without_an_int8_operator(samples):
    from tvm import relax

    from octet.passes.frontend.model import Model, TensorSpec

    builder, x = relax.BlockBuilder(), relax.Var("x", relax.TensorType((2, 3, 8, 8), "float32"))
    with builder.function("main", [x]):
        with builder.dataflow():
            result = builder.emit_output(relax.Tuple([builder.emit(relax.op.nn.softmax(x), "softmax")]))
        builder.emit_func_output(result)
    spec = TensorSpec("x", (2, 3, 8, 8), "float32")
    q = quantize(
        Model(builder.get(), (spec,), (spec,), "none", "0" * 64, 2),
        samples,
        executor_factory=lambda module: pytest.fail("ran"),
    )
    assert not q.statistics and [d.dtype for d in q.decisions] == ["float"]
