"""The hub: exact pairs, int8 weights, executable, close to fp32."""

import numpy as np
import pytest
from tvm import relax

from octet.passes.annotate import Annotate, Recipe
from octet.passes.calibrate.collect import edges_of
from octet.passes.calibrate.qdq import InsertQDQ
from octet.passes.calibrate.qparams import QParams
from octet.passes.constants import array_of
from octet.passes.ops import call, is_op
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


def test_before_and_expected(becomes, unchanged):
    """Weights of 127 steps of 0.5 and 0.25: their scales."""
    weight = np.float32([[63.5, -1], [31.75, 0.5]]).reshape(2, 2, 1, 1)
    steps = np.int8([[127, -2], [127, 2]]).reshape(2, 2, 1, 1)

    def network(body):
        builder, x = relax.BlockBuilder(), relax.Var("x", relax.TensorType((1, 2, 3, 3), "float32"))
        with builder.function("main", [x]):
            with builder.dataflow():
                result = builder.emit_output(builder.emit(relax.op.nn.conv2d(*body(builder.emit, x))))
            builder.emit_func_output(result)
        return builder.get()

    def observe(x, edge, **attributes):
        return call("octet.observe", [x], tensor=f"t{edge}", edge=edge, group=edge, made=0, **attributes)

    def before(emit, x):
        data = emit(observe(x, 0, spec="own", scheme="affine", source=1))
        return data, emit(observe(relax.const(weight), 1, spec="weight", scheme="symmetric", source=0, axis=0))

    def expected(emit, x):
        scale, zero = relax.const(np.float32(0.125)), relax.const(np.int8(3))
        data = emit(relax.op.dequantize(emit(relax.op.quantize(x, scale, zero, -1, "int8")), scale, zero, -1))
        scales, zeros = relax.const(np.float32([0.5, 0.25])), relax.const(np.int8([0, 0]))
        return data, emit(relax.op.dequantize(relax.const(steps), scales, zeros, axis=0))

    step = InsertQDQ({0: QParams(0.125, 3, "affine")})
    hub = becomes(step, network(before), network(expected))
    unchanged(step, hub)


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
    for value in values:
        q, scales = array_of(value.args[0]), array_of(value.args[1])
        assert q.dtype == np.int8 and np.abs(q.astype(int)).max() == 127
        assert scales.shape == ((q.shape[value.attrs.axis],) if weights == "per-channel" else ())


def test_symmetric_results_keep_to_127(module):
    done = hub(module, activations="symmetric")
    clips = [c for c in calls(done, "relax.clip") if float(c.args[1].value) < 0]
    # Clipped are sum, gate, gated and mean, but not what cannot be negative, the input and what is only moved.
    assert len(clips) == 4
    assert float(clips[0].args[1].value) == pytest.approx(-127 * 0.05) and float(
        clips[0].args[2].value
    ) == pytest.approx(127 * 0.05)


def test_the_hub_runs(module, samples):
    (y,) = reference.run(hub(module), {"x": samples["x"][:2]})
    (x,) = reference.run(module, {"x": samples["x"][:2]})
    assert y.shape == x.shape and np.isfinite(y).all()
