"""The hub: exact pairs, int8 weights, executable, close to fp32."""

import numpy as np
import pytest

from octet.passes.annotate import Annotate, Recipe
from octet.passes.calibrate.collect import edges_of
from octet.passes.calibrate.qdq import InsertQDQ
from octet.passes.calibrate.qparams import QParams
from octet.passes.constants import array_of
from octet.passes.ops import is_op
from octet.passes.referee import reference


def hub(module, **recipe):
    annotated = Annotate(Recipe(**recipe))(module)
    scheme = recipe.get("activations", "affine")
    qparams = {
        e.group: QParams(0.05, 0 if scheme == "symmetric" else 3, scheme)
        for e in edges_of(annotated)
        if e.spec != "weight"
    }
    return InsertQDQ(qparams)(annotated)


def calls(module, *names):
    return [b.value for b in module["main"].body.blocks[0].bindings if is_op(b.value, *names)]


def test_every_observer_becomes_a_pair(module):
    annotated, done = Annotate()(module), hub(module)
    edges = edges_of(annotated)
    weights = [e for e in edges if e.spec == "weight"]
    assert not calls(done, "octet.observe")
    assert len(calls(done, "relax.quantize")) == len(edges) - len(weights)
    assert len(calls(done, "relax.dequantize")) == len(edges)
    pair = calls(done, "relax.quantize")[0]
    assert (
        array_of(pair.args[1]) == np.float32(0.05)
        and array_of(pair.args[2]) == 3
        and array_of(pair.args[2]).dtype == np.int8
    )


@pytest.mark.parametrize("weights", ["per-channel", "per-tensor"])
def test_weights_are_int8_constants(module, weights):
    values = [c for c in calls(hub(module, weights=weights), "relax.dequantize") if not hasattr(c.args[0], "name")]
    assert len(values) == 3
    for call in values:
        q, scales = array_of(call.args[0]), array_of(call.args[1])
        assert q.dtype == np.int8 and np.abs(q.astype(int)).max() == 127
        assert scales.shape == ((q.shape[call.attrs.axis],) if weights == "per-channel" else ())


def test_symmetric_results_keep_to_127(module):
    done = hub(module, activations="symmetric")
    clips = [c for c in calls(done, "relax.clip") if float(c.args[1].value) < 0]
    assert len(clips) == 4  # sum, gate, gated, mean; what cannot be negative, the input and what is moved are not
    assert float(clips[0].args[1].value) == pytest.approx(-127 * 0.05) and float(
        clips[0].args[2].value
    ) == pytest.approx(127 * 0.05)


def test_the_hub_runs(module, samples):
    (y,) = reference.run(hub(module), {"x": samples["x"][:2]})
    (x,) = reference.run(module, {"x": samples["x"][:2]})
    assert y.shape == x.shape and np.isfinite(y).all()
