"""Operators of ONNX Runtime's optimiser, against their formulas in NumPy and, where it is installed, ONNX Runtime."""

from math import erf

import numpy as np
import pytest
from onnx import helper
from onnx_nodes import node

from octet.passes.frontend.contributed.operators import OPERATORS
from octet.targets.errors import UnsupportedModelError

RNG = np.random.default_rng(0)
HEADS = 4


def real(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


X, SKIP, GAMMA, BETA, BIAS = real(2, 5, 16), real(2, 5, 16), real(16), real(16), real(16)
WEIGHT, ALL_BIASES = real(16, 48) * np.float32(0.5), real(48)
KEYS, VALUES, PAST = real(2, 7, 16), real(2, 7, 16), real(2, 2, HEADS, 3, 4)
KEPT = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], np.int32)
IDS, SEGMENTS = RNG.integers(0, 9, (2, 5)), RNG.integers(0, 2, (2, 5))
WORDS, PLACES, KINDS = real(9, 16), real(8, 16), real(2, 16)
IMAGE, KERNEL, LAYER = real(1, 3, 6, 6), real(4, 3, 1, 1), real(1, 4, 6, 6)
TURNED, COSINES, SINES = real(2, HEADS, 5, 4), real(9, 2), real(9, 2)


def gelu(x):
    return x * (1 + np.vectorize(erf)(x / np.sqrt(2))) / 2


def tanh_gelu(x):
    return x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))) / 2


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def layer_norm(x, gamma, beta=0, epsilon=1e-12):
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + epsilon) * gamma + beta


def rms_norm(x, gamma, epsilon=1e-12):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + epsilon) * gamma


def heads(x):
    return x.reshape(*x.shape[:2], HEADS, -1).transpose(0, 2, 1, 3)


def attended(q, k, v, added=0.0, scale=0.5):
    scores = q @ k.transpose(0, 1, 3, 2) * scale + added
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    mixed = (powers / powers.sum(-1, keepdims=True)) @ v
    return mixed.transpose(0, 2, 1, 3).reshape(mixed.shape[0], mixed.shape[2], -1)


def parts(weight=WEIGHT, bias=ALL_BIASES, ends=(16, 32)):
    return [heads(part) for part in np.split(X @ weight + bias, ends, axis=-1)]


def later(queries, keys):
    return np.where(np.arange(keys) > np.arange(keys - queries, keys)[:, None], -np.inf, 0.0)


def masked(kept):
    return np.where(kept, 0.0, -10000.0)


def convolved():
    return np.einsum("oc,nchw->nohw", KERNEL[:, :, 0, 0], IMAGE)


def turned(x, places):
    left, right = np.split(x, 2, axis=-1)
    c, s = COSINES[places][:, None], SINES[places][:, None]
    return np.concatenate([left * c - right * s, right * c + left * s], -1)


def case(operator, inputs, constants, want, results=("y",), **attrs):
    """inputs, constants: arrays in the order of the operands, of which None is left out."""
    return operator, inputs, constants, want, results, attrs


def with_past():
    q, k, v = parts()
    k, v = (np.concatenate(pair, 2) for pair in zip(PAST, (k, v)))
    return [attended(q, k, v, later(5, 8)), np.stack([k, v])]


def joined(**attrs):
    """MultiHeadAttention of X, KEYS and VALUES, and what else there is."""
    return {"num_heads": HEADS} | attrs


CASES = {
    "BiasGelu": case("BiasGelu", [X], [BIAS], [gelu(X + BIAS)]),
    "Gelu": case("Gelu", [X], [], [gelu(X)]),
    "FastGelu": case("FastGelu", [X], [], [tanh_gelu(X)]),
    "FastGelu with a bias": case("FastGelu", [X], [BIAS], [tanh_gelu(X + BIAS)]),
    "QuickGelu": case("QuickGelu", [X], [], [X * sigmoid(1.7 * X)], alpha=1.7),
    "FusedMatMul": case(
        "FusedMatMul", [TURNED, TURNED], [], [TURNED @ TURNED.transpose(0, 1, 3, 2) * 0.3], transB=1, alpha=0.3
    ),
    "TransposeMatMul": case("TransposeMatMul", [TURNED, TURNED], [], [TURNED.transpose(0, 1, 3, 2) @ TURNED], transA=1),
    "FusedGemm": case(
        "FusedGemm",
        [X[0]],
        [WEIGHT.T, ALL_BIASES],
        [(lambda y: np.where(y > 0, y, y * 0.2))(X[0] @ WEIGHT * 0.5 + ALL_BIASES)],
        transB=1,
        alpha=0.5,
        activation="LeakyRelu",
        activation_alpha=0.2,
    ),
    "FusedConv": case(
        "FusedConv", [IMAGE], [KERNEL], [np.clip(convolved(), 0, 0.4)], activation="Clip", activation_params=[0.0, 0.4]
    ),
    "FusedConv with a sum": case(
        "FusedConv", [IMAGE, LAYER], [KERNEL, None], [np.maximum(convolved() + LAYER, 0)], activation="Relu"
    ),
    "BiasSoftmax": case(
        "BiasSoftmax",
        [X],
        [BIAS],
        [np.exp(X + BIAS) / np.exp(X + BIAS).sum(-1, keepdims=True)],
        axis=2,
        is_inner_broadcast=1,
    ),
    "SkipLayerNormalization": case(
        "SkipLayerNormalization",
        [X, SKIP],
        [GAMMA, BETA, BIAS],
        [layer_norm(X + SKIP + BIAS, GAMMA, BETA), X + SKIP + BIAS],
        ("y", "", "", "sum"),
    ),
    "SkipLayerNormalization, one skip": case(
        "SkipLayerNormalization", [X, SKIP[:1]], [GAMMA], [layer_norm(X + SKIP[:1], GAMMA, epsilon=1e-2)], epsilon=1e-2
    ),
    "SkipSimplifiedLayerNormalization": case(
        "SkipSimplifiedLayerNormalization",
        [X, SKIP],
        [GAMMA],
        [rms_norm(X + SKIP, GAMMA), X + SKIP],
        ("y", "", "", "sum"),
    ),
    "SimplifiedLayerNormalization": case("SimplifiedLayerNormalization", [X], [GAMMA], [rms_norm(X, GAMMA, 1e-5)]),
    "EmbedLayerNormalization": case(
        "EmbedLayerNormalization",
        [IDS.astype(np.int32), SEGMENTS.astype(np.int32), KEPT],
        [WORDS, PLACES, KINDS, GAMMA, BETA],
        [layer_norm(WORDS[IDS] + PLACES[:5] + KINDS[SEGMENTS], GAMMA, BETA), KEPT.sum(1, dtype=np.int32)],
        ("y", "count"),
    ),
    "Attention": case("Attention", [X], [WEIGHT, ALL_BIASES], [attended(*parts())], num_heads=HEADS),
    "Attention, a mask": case(
        "Attention", [X, KEPT], [WEIGHT, ALL_BIASES], [attended(*parts(), masked(KEPT[:, None, None]))], num_heads=HEADS
    ),
    "Attention, lengths": case(
        "Attention",
        [X, KEPT.sum(1, dtype=np.int32)],
        [WEIGHT, ALL_BIASES],
        [attended(*parts(), masked(KEPT[:, None, None]))],
        num_heads=HEADS,
    ),
    "Attention, other widths": case(
        "Attention",
        [X],
        [np.tile(WEIGHT, 2)[:, :64], np.tile(ALL_BIASES, 2)[:64]],
        [attended(*parts(np.tile(WEIGHT, 2)[:, :64], np.tile(ALL_BIASES, 2)[:64]), scale=0.3)],
        num_heads=HEADS,
        qkv_hidden_sizes=[16, 16, 32],
        scale=0.3,
    ),
    "Attention, earlier tokens": case(
        "Attention",
        [X, None, PAST],
        [WEIGHT, ALL_BIASES],
        with_past(),
        ("y", "present"),
        num_heads=HEADS,
        unidirectional=1,
    ),
    "MultiHeadAttention": case(
        "MultiHeadAttention",
        [X, KEYS, VALUES],
        [ALL_BIASES],
        [attended(*(heads(x + b) for x, b in zip((X, KEYS, VALUES), np.split(ALL_BIASES, 3))))],
        num_heads=HEADS,
    ),
    "MultiHeadAttention, earlier tokens": case(
        "MultiHeadAttention",
        [X, X, SKIP, None, None, None, PAST[0], PAST[1]],
        [],
        [
            attended(heads(X), np.concatenate([PAST[0], heads(X)], 2), np.concatenate([PAST[1], heads(SKIP)], 2)),
            np.concatenate([PAST[0], heads(X)], 2),
            np.concatenate([PAST[1], heads(SKIP)], 2),
        ],
        ("y", "keys", "values"),
        num_heads=HEADS,
    ),
    "MultiHeadAttention, keys as heads": case(
        "MultiHeadAttention",
        [X, heads(KEYS), heads(VALUES)],
        [],
        [attended(heads(X), heads(KEYS), heads(VALUES))],
        num_heads=HEADS,
    ),
    "RotaryEmbedding": case("RotaryEmbedding", [TURNED, IDS // 2], [COSINES, SINES], [turned(TURNED, IDS // 2)]),
    "RotaryEmbedding, the first place": case(
        "RotaryEmbedding", [TURNED, np.array([2])], [COSINES, SINES], [turned(TURNED, np.arange(2, 7)[None])]
    ),
    "Trilu": case("Trilu", [X], [], [np.triu(X)], upper=1),
    "GridSample": case(
        "GridSample",
        [IMAGE, np.zeros((1, 2, 2, 2), np.float32)],
        [],
        [np.broadcast_to(IMAGE[:, :, 2:4, 2:4].mean((2, 3), keepdims=True), (1, 3, 2, 2))],
    ),
}  # Where an input lies behind constants, `ORDER` says so.
ORDER = {
    "FusedConv with a sum": "icci",
    "EmbedLayerNormalization": "iiccccci",
    "Attention, a mask": "icci",
    "Attention, lengths": "icci",
    "Attention, earlier tokens": "iccii",
    "MultiHeadAttention": "iiic",
}
# The first has no kernel for CPUs; the second is in ONNX's own domain there.
NOT_THERE = {"BiasSoftmax", "SimplifiedLayerNormalization"}


def network(model, name):
    operator, inputs, constants, want, results, attrs = CASES[name]
    given, known = [iter(enumerate(each)) for each in (inputs, constants)]
    operands, feed, values = [], {}, {}
    for kind in ORDER.get(name, "i" * len(inputs) + "c" * len(constants)):
        at, array = next(given if kind == "i" else known)
        operands.append("" if array is None else f"{kind}{at}")
        if array is not None:
            (feed if kind == "i" else values)[operands[-1]] = array
    made = node(operator, operands, list(results), domain="com.microsoft", **attrs)
    proto = model([made], feed, values, outputs=[result for result in results if result])
    for value, array in zip(proto.graph.output, want):
        value.type.tensor_type.elem_type = helper.np_dtype_to_tensor_dtype(
            array.dtype if array.dtype.kind == "i" else np.dtype("float32")
        )
    proto.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    return proto, feed, want


@pytest.mark.parametrize("name", sorted(CASES.keys() - {"GridSample"}))  # The referee has no samples between pixels.
def test_the_formula(model, agrees, name):
    agrees(*network(model, name))


@pytest.mark.parametrize("name", sorted(CASES.keys() - NOT_THERE))
def test_the_formulas_are_those_of_onnx_runtime(model, name):
    ort = pytest.importorskip("onnxruntime")
    proto, feed, want = network(model, name)
    found = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, feed)
    for a, b in zip(found, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=2e-4)


def test_every_operator_has_a_case():
    assert {name for name, *_ in CASES.values()} == OPERATORS


def test_grid_sample_is_that_of_onnx(model, load):
    text = load(network(model, "GridSample")[0]).module.script()
    assert "grid_sample" in text


def test_rms_normalisation_in_the_domain_of_onnx(model, agrees):
    made = node("SimplifiedLayerNormalization", ["x", "g"], ["y"], axis=-1, epsilon=1e-6)
    agrees(model([made], {"x": X}, {"g": GAMMA}), {"x": X}, [rms_norm(X, GAMMA, 1e-6)])


@pytest.mark.parametrize(
    ("operator", "attrs", "said"),
    [
        ("FusedMatMul", {"transBatchA": 1}, "turns its batch"),
        ("Attention", {"num_heads": HEADS, "do_rotary": 1}, "has do_rotary"),
        ("GroupQueryAttention", {"num_heads": HEADS}, "is not supported"),
        ("MultiHeadAttention", {"num_heads": HEADS}, "in one tensor"),
    ],
)
def test_other_forms_are_refused_with_the_way_out(model, load, operator, attrs, said):
    proto = model([node(operator, ["x", "w"], ["y"], domain="com.microsoft", **attrs)], {"x": X}, {"w": WEIGHT})
    proto.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    with pytest.raises(UnsupportedModelError, match=f"{said}.*give the file from before ONNX Runtime's optimiser"):
        load(proto)
