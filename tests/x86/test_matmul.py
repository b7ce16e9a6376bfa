"""octet.matmul on strided operands, the softmax fused behind it, and layer normalisation between int8 tensors, against
the referee."""

import sys
from pathlib import Path

import numpy as np
import pytest
from tvm import relax

from octet.passes import ops
from octet.passes.lower.fusion import find_fusions
from octet.passes.lower.softmax_chains import CodedScores, Scores, Softmax
from octet.targets.x86.layout import packed
from octet.targets.x86.view import View, as_layout, reshaped, transposed, view_of

sys.path.insert(0, str(Path(__file__).parent))
from rule_harness import check, check_all, dequantize, network, quantize


def product(builder, a, b, dtype="int8", multiplier=0.003, zero_point=0, a_zero_point=0, b_zero_point=0):
    low, high = (-120, 119) if dtype == "int8" else (-np.inf, np.inf)
    attrs = {
        "multiplier": multiplier,
        "out_zero_point": zero_point,
        "clip_min": low,
        "clip_max": high,
        "out_dtype": dtype,
        "a_zero_point": a_zero_point,
        "b_zero_point": b_zero_point,
    }
    return builder.emit(ops.call("octet.matmul", [a, b], **attrs))


def over_largest(builder, p):
    """Each row times 1 / its largest value."""
    largest = builder.emit(relax.op.max(p, [-1], keepdims=True))
    return builder.emit(relax.op.multiply(p, builder.emit(ops.call("octet.unary", [largest], kind="reciprocal"))))


def attention(batch, tokens, heads, size, scale, levels, peak=False, zero_points=(0, 0, 0), codes=None):
    """dequantize(join(quantize(softmax(q k' [* scale] [+ mask])) v)) for q, k, v [batch, tokens, heads * size];
    probabilities in `levels` steps, with `peak` over their largest one. zero_points: of q, k and v. codes: the zero
    point of scores that are int8."""
    zero_point = 0 if levels == 127 else -128

    def body(b, q, k, v, *mask):
        def split(x, axes, zero_point):
            x = b.emit(relax.op.reshape(quantize(b, x, 0.05, zero_point), [batch, tokens, heads, size]))
            return b.emit(relax.op.permute_dims(x, axes))

        q, k, v = map(split, (q, k, v), ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3]), zero_points)
        form = ("float32",) if codes is None else ("int8", 0.0045, codes)
        scores = product(b, q, k, *form, a_zero_point=zero_points[0], b_zero_point=zero_points[1])
        scores = scores if codes is None else dequantize(b, scores, 0.07, codes)
        scores = b.emit(relax.op.multiply(scores, relax.const(np.float32(scale)))) if scale else scores
        scores = b.emit(relax.op.add(scores, mask[0])) if mask else scores
        soft = b.emit(relax.op.nn.softmax(scores, -1))
        soft = over_largest(b, soft) if peak else soft
        mixed = product(
            b,
            quantize(b, soft, 1 / levels, zero_point),
            v,
            multiplier=0.01,
            zero_point=5,
            a_zero_point=zero_point,
            b_zero_point=zero_points[2],
        )
        joined = b.emit(relax.op.permute_dims(mixed, [0, 2, 1, 3]))
        return dequantize(b, b.emit(relax.op.reshape(joined, [batch, tokens, heads * size])))

    return body


@pytest.mark.parametrize("target", ["amx", "avx512vnni"])
def test_attention(target):
    cases = {}
    symmetric = (0, 0, 0)
    for batch, tokens, heads, size, masked, scale, levels, peak, *forms in [
        (2, 50, 4, 32, True, 0.37, 255, False),
        (1, 97, 2, 64, False, 0.125, 255, False, symmetric, -14),
        (1, 7, 2, 16, True, None, 127, False, (3, 2, 1), 9),
        (2, 33, 1, 20, True, 0.5, 255, False, (3, -11, 7)),
        (2, 41, 2, 32, True, 0.37, 255, True, (0, 127, -128)),
    ]:
        shapes = dict.fromkeys("qkv", (batch, tokens, heads * size)) | (
            {"mask": (batch, 1, 1, tokens)} if masked else {}
        )
        cases[f"{batch} x {tokens}, {heads} heads of {size}"] = (
            shapes,
            attention(batch, tokens, heads, size, scale, levels, peak, *forms),
        )
    check_all(cases, target)


def test_scores_that_were_int8_are_one_kernel():
    """R.quantize(R.nn.softmax(R.dequantize(octet.matmul(q, k')) + mask)) is a chain where there are kernels for it,
    and a softmax of a float tensor elsewhere."""
    shapes = dict.fromkeys("qkv", (1, 7, 32)) | {"mask": (1, 1, 1, 7)}
    main = network(shapes, attention(1, 7, 2, 16, None, 255, codes=9))["main"]
    (chain,) = find_fusions(main)[0].values()
    assert type(chain) is CodedScores and chain.parts.mask is not None and chain.parts.codes[1] == 9
    (chain,) = find_fusions(main, frozenset({Scores, Softmax}))[0].values()
    assert type(chain) is Softmax


def test_products_of_any_rank():
    def body(dtype, zero_point, right):
        def of(builder, x, y):
            result = product(
                builder,
                quantize(builder, x, 0.05, zero_point),
                quantize(builder, y, 0.05, right),
                dtype,
                a_zero_point=zero_point,
                b_zero_point=right,
            )
            return result if dtype == "float32" else dequantize(builder, result)

        return of

    operands = [
        ((5, 7), (7, 9)),
        ((3, 20, 70), (3, 70, 17)),
        ((2, 1, 4, 130), (1, 3, 130, 64)),
        ((1, 16, 64), (64, 33)),
    ]
    check_all(
        {
            f"{a} {b} {dtype}": ({"x": a, "y": b}, body(dtype, zero_point, right))
            for right, (a, b) in zip((7, 0, -128, 127), operands)
            for dtype, zero_point in (("int8", -128), ("float32", 9))
        }
    )


def test_masks_of_minus_ten_thousand_leave_exact_zeros():
    """A masked column must not change a byte: exp(-10000) is 0, whatever the score."""

    def body(b, x, y, mask):
        hidden = b.emit(relax.op.multiply(mask, relax.const(np.float32(-10000))))
        scores = b.emit(relax.op.add(product(b, quantize(b, x, 0.05, 0), quantize(b, y, 0.05, 0), "float32"), hidden))
        return dequantize(b, quantize(b, b.emit(relax.op.nn.softmax(scores, -1)), 1 / 127, 0), 1 / 127, 0)

    check({"x": (1, 2, 8, 16), "y": (1, 2, 16, 24), "mask": (1, 1, 1, 24)}, body)


def normalised(emit, source, target):
    """Of a quantised tensor, or not; quantised again, or not."""

    def body(b, x):
        x = dequantize(b, quantize(b, x)) if source else x
        y = b.emit(emit(x))
        return dequantize(b, quantize(b, y, 0.03, -7), 0.03, -7) if target else y

    return body


def test_layer_norm():
    rng, cases = np.random.default_rng(1), {}
    for shape in [(1, 5, 96), (3, 40), (2, 2, 3, 130)]:
        gamma, beta = (relax.const(rng.standard_normal(shape[-1]).astype("float32")) for _ in range(2))
        emit = lambda x, gamma=gamma, beta=beta: relax.op.nn.layer_norm(x, gamma, beta, axes=[-1], epsilon=1e-5)
        for source, target in [(True, True), (False, True), (True, False), (False, False)]:
            cases[f"{shape} {source} {target}"] = ({"x": shape}, normalised(emit, source, target))
    check_all(cases)


def test_rms_norm():
    cases = {}
    for shape in [(1, 5, 96), (3, 40), (1, 130)]:
        weight = relax.const(np.random.default_rng(1).standard_normal(shape[-1]).astype("float32"))
        emit = lambda x, weight=weight: relax.op.nn.rms_norm(x, weight, axes=[-1], epsilon=1e-5)
        for both in (True, False):
            cases[f"{shape} {both}"] = ({"x": shape}, normalised(emit, both, both))
    check_all(cases)


def test_softmax_of_a_float_tensor_with_an_int8_result():
    check(
        {"x": (2, 3, 5, 37)},
        lambda b, x: dequantize(b, quantize(b, b.emit(relax.op.nn.softmax(x, -1)), 1 / 127, 0), 1 / 127, 0),
    )


def test_views_need_no_copy_where_strides_fit():
    rows = view_of(packed((2, 6, 32), "int8"))
    heads = transposed(reshaped(rows, (2, 6, 2, 16)), (0, 2, 1, 3))
    assert heads.shape == (2, 2, 6, 16) and heads.strides == (192, 16, 32, 1)
    assert reshaped(heads, (2, 2, 96)) is None
    assert as_layout(reshaped(transposed(heads, (0, 2, 1, 3)), (2, 6, 32))) == packed((2, 6, 32), "int8")


def test_an_image_read_as_tokens_is_the_same_memory():
    image = view_of(packed((1, 32, 3, 5), "float32"))
    tokens = transposed(reshaped(image, (1, 32, 15)), (0, 2, 1))
    assert isinstance(tokens, View) and as_layout(tokens) == packed((1, 15, 32), "float32")
