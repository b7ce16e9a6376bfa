"""Batches in parts: the same bytes as the referee and as the whole batch, however the network is cut, on one lane and
on several."""

import numpy as np
import pytest
from tvm import relax

import octet.passes  # noqa: F401 - registers the operators
from octet.passes import ops
from octet.passes.lower.batch.pieces import split_batch
from octet.passes.lower.batch.stretches import Stretch, plan_stretches
from octet.passes.lower.build import build_variant
from octet.passes.referee.reference import run
from octet.targets import archive, detect
from octet.targets.errors import PackageError
from octet.targets.package import Package, read_package, selftest_of
from octet.targets.runtime import Session
from octet.targets.variant import TensorSpec
from octet.tools.commands.inspect import _memory

RNG = np.random.default_rng(0)
R = relax.op
INT8 = {"out_zero_point": 1, "clip_min": -128, "clip_max": 127, "out_dtype": "int8"}


def weights(*shape):
    return relax.const(RNG.integers(-127, 128, shape).astype("int8"))


def scaled(channels):
    return relax.const(RNG.integers(-999, 999, channels).astype("int32")), relax.const(
        RNG.uniform(1e-4, 3e-4, channels).astype("float32")
    )


def quantized(e, x):
    return e(R.quantize(x, relax.const(np.float32(0.03)), relax.const(np.int8(3))))


def dequantized(e, x):
    return R.dequantize(x, relax.const(np.float32(0.03)), relax.const(np.int8(3)))


def conv(e, x, outputs, *residual):
    channels = int(x.ty.shape.values[1])
    attrs = {
        "strides": [1, 1],
        "padding": [1, 1, 1, 1],
        "dilation": [1, 1],
        "groups": 1,
        "data_zero_point": 3,
        "residual_zero_point": 3,
        "residual_multiplier": 0.7,
    }
    return e(
        ops.call("octet.conv2d", [x, weights(outputs, channels, 3, 3), *scaled(outputs), *residual], **attrs, **INT8)
    )


def dense(e, x, outputs):
    return e(
        ops.call(
            "octet.dense",
            [x, weights(outputs, int(x.ty.shape.values[-1])), *scaled(outputs)],
            data_zero_point=3,
            residual_zero_point=0,
            residual_multiplier=0.0,
            **INT8,
        )
    )


def images(e, x):
    """Rows of 7 x 7 pixels, whose samples do not begin on 64-byte boundaries."""
    first = conv(e, quantized(e, x), 16)
    pooled = e(R.nn.max_pool2d(conv(e, first, 16, first), (3, 3), (2, 2)))
    return dequantized(e, dense(e, e(R.reshape(pooled, [int(x.ty.shape.values[0]), 16 * 9])), 5))


def attention(e, x):
    batch = int(x.ty.shape.values[0])
    tokens = quantized(e, x)
    q, k, v = (e(R.permute_dims(e(R.reshape(dense(e, tokens, 16), [batch, 6, 2, 8])), [0, 2, 1, 3])) for _ in range(3))
    scores = e(
        ops.call(
            "octet.matmul",
            [q, e(R.permute_dims(k, [0, 1, 3, 2]))],
            multiplier=0.01,
            clip_min=-np.inf,
            clip_max=np.inf,
            out_zero_point=0,
            out_dtype="float32",
        )
    )
    shares = e(R.quantize(e(R.nn.softmax(scores)), relax.const(np.float32(1 / 127)), relax.const(np.int8(0))))
    mixed = e(ops.call("octet.matmul", [shares, v], multiplier=0.01, **{**INT8, "out_zero_point": 3}))
    return dequantized(e, dense(e, e(R.reshape(e(R.permute_dims(mixed, [0, 2, 1, 3])), [batch, 6, 16])), 9))


def mixing(e, x):
    """Between two layers every sample is compared with all others."""
    y = e(R.nn.softmax(e(dequantized(e, dense(e, quantized(e, x), 24))), axis=0))
    return dequantized(e, dense(e, quantized(e, y), 7))


NETWORKS = {"images": (images, (3, 7, 7)), "attention": (attention, (6, 16)), "mixing": (mixing, (20,))}


def network(case, batch=4):
    body, shape = NETWORKS[case]
    builder, x = relax.BlockBuilder(), relax.Var("x", relax.TensorType([batch, *shape], "float32"))
    with builder.function("main", [x]):
        with builder.dataflow():
            result = builder.emit_output(relax.Tuple([builder.emit(body(builder.emit, x))]))
        builder.emit_func_output(result)
    return builder.get(), {"x": (RNG.standard_normal((batch, *shape)) * 2).astype("float32")}


def forced(samples, at=None):
    """A plan: `samples` at a time wherever that is allowed; the rest, and what lies from binding `at` on, two at a time
    or as a whole."""

    def choose(found):
        count, stretches = len(found.graph.bindings) - 1, []
        for i, (var, _) in enumerate(found.graph.bindings[:count]):
            size = found.batch if var in found.mixing else samples if at is None or i < at else 2
            if stretches and stretches[-1].samples == size:
                stretches[-1] = Stretch(stretches[-1].first, i + 1, size)
            else:
                stretches.append(Stretch(i, i + 1, size))
        return stretches

    return choose


def results(module, inputs, choose, threads=1):
    (given,) = inputs.values()
    (wanted,) = run(module, inputs)
    variant = build_variant(
        module,
        detect.native(),
        (TensorSpec("x", given.shape, "float32"),),
        (TensorSpec("y", wanted.shape, "float32"),),
        choose=choose,
    )
    session = Session(variant, threads)
    first = session.run(inputs)["y"]
    assert first.tobytes() == session.run(inputs)["y"].tobytes() == wanted.tobytes()
    return session, variant


@pytest.mark.parametrize("samples, at", [(1, None), (2, None), (1, 4)])
@pytest.mark.parametrize("case", NETWORKS)
def test_every_cut_equals_the_referee(case, samples, at):
    _, variant = results(*network(case), forced(samples, at))
    assert variant.loops and all(count == 4 // samples or at for _, _, count in variant.loops)
    assert (len(split_batch(network(case)[0], forced(samples))) == 1) == (case != "mixing")


@pytest.mark.parametrize("lanes", [2, 3, 5])
def test_any_number_of_lanes(lanes, monkeypatch):
    """Chunks out of order show a kernel that writes beyond its own samples; 3 and 5 lanes share kernels out instead of
    chunks."""
    module, inputs = network("images")
    monkeypatch.setattr(detect, "cores", lambda: lanes)
    session, _ = results(module, inputs, forced(1, 3), threads=lanes)
    assert session.threads == lanes


def test_profile_counts_every_chunk():
    module, inputs = network("images")
    session, variant = results(module, inputs, forced(1, 3))
    whole = build_variant(module, detect.native(), variant.inputs, variant.outputs, choose=forced(4))
    times = session.profile(inputs, repeat=2)
    assert len(times) == len(variant.steps) and all(seconds > 0 for _, seconds in times)
    assert sum(step.macs for step in variant.steps) == sum(step.macs for step in whole.steps)


def test_a_package_in_parts(tmp_path, monkeypatch):
    module, inputs = network("images")
    session, parts = results(module, inputs, forced(1, 3))
    whole = build_variant(module, detect.native(), parts.inputs, parts.outputs, choose=forced(4))
    for name, variant in (("parts", parts), ("whole", whole)):
        Package((variant,), {}, selftest_of(session, inputs)).save(tmp_path / name)
        assert archive.read(tmp_path / name).manifest.format == 4
    read = read_package(tmp_path / "parts").variants[0]
    assert (read.loops, read.lane_bytes) == (parts.loops, parts.lane_bytes)
    assert Session(read, 2).run(inputs)["y"].tobytes() == session.run(inputs)["y"].tobytes()
    assert _memory(read, str) == f"{read.arena_bytes} + {read.lane_bytes} a thread" and _memory(whole, str) == str(
        whole.arena_bytes
    )
    monkeypatch.setattr(archive, "FORMATS", (1, 2, 3))  # An older version reads these.
    with pytest.raises(PackageError, match=r"^\S+parts: has package format 4, this octet reads formats 1 to 3"):
        read_package(tmp_path / "parts")


def test_memory_goes_down():
    module, _ = network("images", 8)
    signature = (TensorSpec("x", (8, 3, 7, 7), "float32"),), (TensorSpec("y", (8, 5), "float32"),)
    whole, parts = (build_variant(module, detect.native(), *signature, choose=forced(samples)) for samples in (8, 1))
    assert not whole.loops and parts.arena_bytes + 2 * parts.lane_bytes < whole.arena_bytes


def planned(*layers, shape, batch=32):
    """The samples per stretch of convolutions with these numbers of channels."""
    builder, x, found = relax.BlockBuilder(), relax.Var("x", relax.TensorType([batch, *shape], "float32")), []
    with builder.function("main", [x]):
        with builder.dataflow():
            y = quantized(builder.emit, x)
            for channels in layers:
                y = conv(builder.emit, y, channels)
            result = builder.emit_output(relax.Tuple([y]))
        builder.emit_func_output(result)
    split_batch(builder.get(), lambda graph: found.extend(plan_stretches(graph)) or [])
    return [stretch.samples for stretch in found]


def test_large_images_go_one_by_one_and_large_weights_see_many_samples():
    assert planned(64, 64, 64, shape=(64, 56, 56)) == [1]
    assert planned(512, 512, shape=(512, 4, 4))[-1] >= 8
    assert planned(16, 16, shape=(16, 4, 4), batch=1) == []


def test_the_tokens_of_a_transformer_stay_one_matrix():
    assert split_batch(network("attention", 8)[0]) == []
