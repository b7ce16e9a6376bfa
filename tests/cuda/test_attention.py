"""Products of computed tensors read and write heads where they lie: the launches of an attention, and the referee's
bytes."""

import numpy as np
import pytest
from cuda_harness import SM61, SM75, SM80, codes, constant, differences, emulator, function, nets
from tvm import relax

from octet.passes import ops
from octet.passes.lower.cuda import fused
from octet.targets.cuda.kernels.attention import Block, block_for

RNG = np.random.default_rng(6)


def attention(
    batch, tokens, heads, width, float_scores=True, of_one=False, spoiled=None, mask_of_rows=False, levels=127
):
    """(module, inputs): q, k, v of one linear layer's result each, or (of_one) each of a linear layer of one input;
    joined heads through a linear layer.
    spoiled: attributes by which the second of those layers differs. mask_of_rows: a mask that differs from row to row
    and head to head, of -inf, which leaves nothing of some rows (and a guard of their NaN); no scale. levels: steps of
    probabilities."""
    zero_point = 0 if levels == 127 else -128
    shape = batch, tokens, heads * width
    inputs = {"x": codes(RNG, *shape[:2], 48)} if of_one else {name: codes(RNG, *shape) for name in "qkv"}
    layers = [
        (
            codes(RNG, shape[-1], 48),
            RNG.integers(-999, 999, shape[-1]).astype(np.int32),
            RNG.random(shape[-1]).astype(np.float32) * 0.002,
        )
        for _ in "qkv"
        if of_one
    ]
    masked = RNG.random((1, heads, tokens, tokens) if mask_of_rows else (batch, 1, 1, tokens)) < 0.2
    if mask_of_rows:
        masked[:, :, 1::5] = True
    mask = constant(np.where(masked, np.float32(-np.inf if mask_of_rows else -1e4), np.float32(0)))
    weight = (
        constant(codes(RNG, 32, heads * width)),
        constant(np.zeros(32, np.int32)),
        constant(np.full(32, 0.001, np.float32)),
    )

    def linear(b, x, vectors, **changed):
        attrs = dict(data_zero_point=5, out_dtype="int8", out_zero_point=0, clip_min=-127, clip_max=127)
        return b.emit(ops.call("octet.dense", [x, *map(constant, vectors)], **(attrs | changed)))

    def emit(b, *given):
        q, k, v = (
            (linear(b, given[0], layer, **(spoiled if i == 1 and spoiled else {})) for i, layer in enumerate(layers))
            if of_one
            else given
        )
        split = [b.emit(relax.op.reshape(x, (batch, tokens, heads, width))) for x in (q, k, v)]
        left, right = (
            b.emit(relax.op.permute_dims(x, axes)) for x, axes in ((split[0], [0, 2, 1, 3]), (split[1], [0, 2, 3, 1]))
        )
        values = b.emit(relax.op.permute_dims(split[2], [0, 2, 1, 3]))
        if float_scores:
            scores = b.emit(
                ops.call(
                    "octet.matmul",
                    [left, right],
                    multiplier=0.0004,
                    out_dtype="float32",
                    clip_min=-np.inf,
                    clip_max=np.inf,
                )
            )
            scores = scores if mask_of_rows else b.emit(relax.op.multiply(scores, relax.const(np.float32(0.35))))
            scores = b.emit(relax.op.nn.softmax(b.emit(relax.op.add(scores, mask)), -1))
            if mask_of_rows:
                scores = b.emit(relax.op.where(b.emit(relax.op.isnan(scores)), relax.const(np.float32(0)), scores))
            scores = b.emit(
                relax.op.quantize(
                    scores,
                    relax.const(np.float32(1 / levels)),
                    relax.const(np.int8(zero_point)),
                    axis=-1,
                    out_dtype="int8",
                )
            )
        else:
            scores = b.emit(
                ops.call(
                    "octet.matmul",
                    [left, right],
                    multiplier=0.0004,
                    out_dtype="int8",
                    out_zero_point=0,
                    clip_min=-127,
                    clip_max=127,
                )
            )
        joined = b.emit(
            ops.call(
                "octet.matmul",
                [scores, values],
                multiplier=0.02,
                a_zero_point=zero_point if float_scores else 9,
                out_dtype="int8",
                out_zero_point=3,
                clip_min=-128,
                clip_max=127,
            )
        )
        joined = b.emit(
            relax.op.reshape(b.emit(relax.op.permute_dims(joined, [0, 2, 1, 3])), (batch, tokens, heads * width))
        )
        return b.emit(
            ops.call(
                "octet.dense",
                [joined, *weight],
                data_zero_point=3,
                out_dtype="int8",
                out_zero_point=0,
                clip_min=-128,
                clip_max=127,
            )
        )

    return function(emit, **inputs), inputs


CASES = {
    "whole granules": (2, 32, 3, 16, True, False, None, False, 255),
    "odd tokens": (1, 21, 2, 32, True, False, None, False, 255),
    "odd heads": (1, 16, 2, 24),
    "int8 scores": (1, 37, 3, 16, False),
    "of one": (2, 48, 3, 16, True, True),
    "of one, odd tokens": (2, 21, 2, 32, True, True),
    "of one, other limits": (1, 32, 2, 16, True, True, {"clip_min": -90}),
    "of one, odd heads": (1, 16, 2, 24, True, True),
    "one launch": (2, 48, 2, 32, True, True),
    "one launch, odd": (1, 37, 3, 64, True, False, None, True, 255),
    "one launch, many keys": (1, 203, 1, 32, True, True),
    "many heads": (11, 64, 6, 32, True, False, None, False, 255),  # A warp has its queries alone.
}


@pytest.mark.parametrize("spec", [SM75, SM80, SM61], ids=lambda spec: spec.name)
def test_attention_agrees_with_the_referee(spec):
    """The newest architecture has launches that the older ones lack."""
    cases = (
        CASES
        if spec is SM80
        else {name: CASES[name] for name in ("odd tokens", "int8 scores", "of one, odd tokens", "one launch, odd")}
    )
    made = [attention(*case) for case in cases.values()]
    found = nets([module for module, _ in made], spec)
    emulated = emulator(found)
    assert [
        name
        for name, net, (module, inputs) in zip(cases, found, made, strict=True)
        if differences(emulated, net, module, inputs, seeds=(0, 3))
    ] == []


def test_nothing_is_moved_but_the_values():
    made = nets([attention(*CASES[name])[0] for name in ("whole granules", "odd tokens")])
    for net in made:
        moved = [step.kernel for step in net.steps if step.kernel in ("move", "fill", "turn")]
        assert moved == ["turn"], [(step.kernel, step.operator) for step in net.steps]


def test_linear_layers_of_one_input_are_one_product():
    """With values along the tokens where those are whole granules; layers that differ in more than their vectors, and
    heads that are no granules, stay as they are."""
    launches = {
        name: [step.kernel for step in nets([attention(*CASES[name])[0]])[0].steps]
        for name in CASES
        if name.startswith("of one")
    }
    product = "mma_conv2d"
    assert launches["of one"] == [launches["of one"][0], "mma_matmul", "softmax_rows", "mma_matmul", product]
    assert launches["of one, odd tokens"].count(product) == 2 and launches["of one, odd tokens"].count("turn") == 1
    assert launches["of one, other limits"].count(product) == 3 and "turn" not in launches["of one, other limits"]
    assert launches["of one, odd heads"].count(product) == 4


def test_attention_is_one_launch_where_shared_memory_holds_a_head():
    def kernels(case, spec=SM80):
        return [step.kernel for step in nets([attention(*case)[0]], spec)[0].steps]

    assert (
        kernels(CASES["one launch"])
        == kernels((2, 48, 2, 32, True, True, None, False, 255))
        == ["mma_conv2d", "attention", "mma_conv2d"]
    )
    assert "attention" not in kernels(CASES["one launch"], SM61)  # The target has no tensor cores.
    assert "attention" not in kernels((1, 640, 1, 64), SM75) and "attention" not in kernels(
        CASES["whole granules"]
    )  # These have too many keys, or heads of half a step.


@pytest.mark.parametrize("block", [(1, 1), (1, 4), (2, 2), (8, 1)], ids=str)
def test_every_block_has_the_referees_bytes(block, monkeypatch):
    """Warps that share the keys, and groups of queries: by default the number of heads decides."""
    monkeypatch.setattr(fused, "block_for", lambda *_: Block(*block))
    cases = [
        (2, 48, 2, 32),
        (1, 37, 3, 64, True, False, None, True, 255),
        (1, 128, 1, 64, True, False, None, False, 255),
    ]
    made = [attention(*case) for case in cases]
    found = nets([module for module, _ in made])
    emulated = emulator(found)
    for net, (module, inputs) in zip(found, made, strict=True):
        assert "attention" in [step.kernel for step in net.steps]
        assert not differences(emulated, net, module, inputs, seeds=(0, 3))


def test_blocks_follow_the_queries():
    """(Warps that share the keys, groups of queries, blocks that share a multiprocessor.)"""

    def block(keys, batch, spec=SM80, width=64):
        found = block_for(keys, width, width, keys, batch, spec)
        return found and (found.warps, found.groups, found.resident)

    assert block(128, 12) == (4, 1, 4) and block(128, 32 * 12) == (1, 4, 4) and block(128, 32 * 12, SM75) == (1, 4, 2)
    assert block(197, 12 * 32) == (2, 2, 4) and block(1024, 1, width=32) == (8, 1, 2)
    assert block(128, 1, SM61) is None and block(1025, 1) is None and block(128, 1, width=48) is None


def test_operands_that_lie_anyhow():
    shapes = {
        "broadcast": ((2, 1, 5, 16), (1, 3, 16, 7)),
        "one matrix": ((2, 3, 5, 16), (16, 9)),
        "few": ((3, 2, 3), (3, 3, 2)),
        "left of one": ((4, 16), (3, 2, 16, 32)),
    }
    made, names = [], []
    for lies, (a, b) in shapes.items():
        inputs = {"a": codes(RNG, *a), "b": codes(RNG, *b)}
        call = dict(multiplier=0.004, out_dtype="int8", out_zero_point=0, clip_min=-128, clip_max=127)
        for name, zero_points in (("left", {"a_zero_point": 9}), ("both", {"a_zero_point": -128, "b_zero_point": 7})):
            emit = lambda builder, x, y, call=call | zero_points: builder.emit(ops.call("octet.matmul", [x, y], **call))
            made.append((function(emit, **inputs), inputs))
            names.append(f"{lies}, zero point of {name}")
    found = nets([module for module, _ in made])
    emulated = emulator(found)
    assert [
        name
        for name, net, (module, inputs) in zip(names, found, made, strict=True)
        if differences(emulated, net, module, inputs, seeds=(0, 2))
    ] == []
