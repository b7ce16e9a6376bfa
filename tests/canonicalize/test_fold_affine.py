"""BatchNormalization and other factors and terms: ConvertBatchNorm, FoldAffine, FoldAffineForward,
FoldAffineThroughRelu."""

import numpy as np
import pytest
from tvm import relax
from tvm.relax import op

from octet.passes.canonicalize.convert_batch_norm import ConvertBatchNorm
from octet.passes.canonicalize.fold_affine import FoldAffine
from octet.passes.canonicalize.fold_affine_forward import FoldAffineForward
from octet.passes.canonicalize.fold_affine_through_relu import FoldAffineThroughRelu
from octet.passes.rewriting.rule import notes_of

SHAPE = [(2, 6, 7, 5)]


def conv(build, x, out=4, groups=1, padding=(1, 1, 1, 1), bias=True):
    channels = int(x.ty.shape.values[1])
    y = build.e(
        op.nn.conv2d(x, build.const(build.random(out, channels // groups, 3, 3)), padding=list(padding), groups=groups)
    )
    return build.e(op.add(y, build.const(build.random(1, out, 1, 1, seed=2)))) if bias else y


def norm(build, x, channels):
    gamma, beta, mean, variance = (build.random(channels, seed=s) for s in (3, 4, 5, 6))
    constants = [build.const(v) for v in (gamma, beta, mean, np.abs(variance) + 0.1)]
    return build.e(
        relax.TupleGetItem(build.e(op.nn.batch_norm(x, *constants, axis=1, epsilon=1e-5, training=False)), 0)
    )


def even(factors):
    """Factors of both signs between 1 and 3.7 in magnitude."""
    return factors + np.sign(factors)


def affine(build, x, channels):
    scaled = build.e(op.multiply(x, build.const(even(build.random(1, channels, 1, 1, seed=7)))))
    return build.e(op.add(scaled, build.const(build.random(1, channels, 1, 1, seed=8))))


def test_batch_norm_becomes_a_factor_and_a_term(build, becomes):
    """Of deviation sqrt(3 + 1) = 2."""
    gamma, beta, mean = (build.random(6, seed=seed) for seed in (3, 4, 5))

    def before(x):
        constants = [build.const(v) for v in (gamma, beta, mean, np.full(6, 3))]
        return relax.TupleGetItem(build.e(op.nn.batch_norm(x, *constants, axis=1, epsilon=1.0, training=False)), 0)

    def expected(x):
        factor, term = gamma.astype("float64") / 2, beta - mean * gamma.astype("float64") / 2
        y = build.e(op.multiply(x, build.const(factor.reshape(1, 6, 1, 1))))
        return op.add(y, build.const(term.reshape(1, 6, 1, 1)))

    becomes(ConvertBatchNorm(), build(SHAPE, before), build(SHAPE, expected))


def test_batch_norm_alone_is_a_factor_and_a_term(build, preserves, names):
    after = preserves(ConvertBatchNorm(), build(SHAPE, lambda x: norm(build, x, 6)))
    assert names(after) == ["multiply", "add"]
    assert list(after["main"].body.blocks[0].bindings[0].value.args[1].value.numpy().shape) == [1, 6, 1, 1]


def test_batch_norm_of_computed_statistics_stays_with_a_reason(build, unchanged):
    before = build(
        [(2, 6, 7, 5), (6,)],
        lambda x, m: relax.TupleGetItem(build.e(op.nn.batch_norm(x, m, m, m, m, axis=1, training=False)), 0),
    )
    assert "at run time" in notes_of(unchanged(ConvertBatchNorm(), before))[0]


def test_a_factor_and_a_term_behind_a_layer_become_its_own(build, becomes):
    w, b, s, t = (build.random(*shape, seed=i) for i, shape in enumerate(((4, 6, 3, 3), *[(1, 4, 1, 1)] * 3)))

    def before(x):
        y = build.e(op.add(build.e(op.nn.conv2d(x, build.const(w))), build.const(b)))
        return op.add(build.e(op.multiply(y, build.const(s))), build.const(t))

    def expected(x):
        return op.add(build.e(op.nn.conv2d(x, build.const(w * s.reshape(4, 1, 1, 1)))), build.const(b * s + t))

    becomes(FoldAffine(), build(SHAPE, before), build(SHAPE, expected))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("groups, out", [(1, 4), (2, 4), (6, 12)])
def test_a_norm_behind_a_convolution_folds_into_it(build, preserves, names, bias, groups, out):
    before = build(SHAPE, lambda x: affine(build, conv(build, x, out, groups, bias=bias), out))
    after = preserves(FoldAffine(), before)
    assert names(after) == ["nn.conv2d", "add"]


def test_a_norm_behind_a_linear_layer_folds_into_it(build, preserves, names):
    def body(x):
        y = build.e(op.add(build.e(op.matmul(x, build.const(build.random(6, 3)))), build.const(build.random(3))))
        scaled = build.e(op.multiply(y, build.const(build.random(1, 3, seed=1))))
        return op.add(scaled, build.const(build.random(1, 3, seed=2)))

    assert names(preserves(FoldAffine(), build([(2, 6)], body))) == ["matmul", "add"]


def test_a_shared_result_keeps_its_layer_and_says_so(build, unchanged):
    def body(x):
        y = conv(build, x, bias=False)
        return [build.e(op.multiply(y, build.const(build.random(1, 4, 1, 1)))), build.e(op.nn.relu(y))]

    assert "also used elsewhere" in notes_of(unchanged(FoldAffine(), build(SHAPE, body)))[0]


def test_a_factor_per_pixel_does_not_fold(build, unchanged):
    unchanged(FoldAffine(), build(SHAPE, lambda x: op.multiply(conv(build, x), build.const(build.random(1, 1, 7, 5)))))


def test_a_position_embedding_does_not_swallow_the_bias(build, unchanged):
    unchanged(FoldAffine(), build(SHAPE, lambda x: op.add(conv(build, x), build.const(build.random(1, 4, 7, 5)))))


def test_a_factor_and_a_term_in_front_of_a_layer_become_weights_and_bias(build, becomes):
    """In eighths, of which sums and products are exact."""
    w, s, t = (
        np.random.default_rng(i).integers(1, 9, shape).astype("float32") / 8
        for i, shape in enumerate(((4, 6, 3, 3), (6, 1, 1), (6, 1, 1)))
    )

    def before(x):
        y = build.e(op.add(build.e(op.multiply(x, build.const(s[None]))), build.const(t[None])))
        return op.nn.conv2d(y, build.const(w))

    def expected(x):
        bias = (w * t).sum(axis=(1, 2, 3)).reshape(1, 4, 1, 1)
        return op.add(build.e(op.nn.conv2d(x, build.const(w * s))), build.const(bias))

    inside = lambda body: build(SHAPE, lambda x: body(build.e(op.nn.relu(x))))
    becomes(FoldAffineForward(), inside(before), inside(expected))


@pytest.mark.parametrize("groups, out", [(1, 4), (2, 4), (6, 12)])
def test_a_norm_in_front_folds_where_nothing_is_padded(build, preserves, names, groups, out):
    before = build(SHAPE, lambda x: conv(build, affine(build, x, 6), out, groups, padding=(0, 0, 0, 0), bias=False))
    assert names(preserves(FoldAffineForward(), before)) == ["nn.conv2d", "add"]


def test_a_factor_in_front_folds_through_padding(build, preserves, names):
    before = build(
        SHAPE,
        lambda x: conv(
            build, build.e(op.multiply(x, build.const(even(build.random(1, 6, 1, 1))))), groups=2, bias=False
        ),
    )
    assert names(preserves(FoldAffineForward(), before)) == ["nn.conv2d"]


def test_a_term_in_front_of_padding_stays_with_a_reason(build, unchanged):
    assert (
        "pads its input"
        in notes_of(unchanged(FoldAffineForward(), build(SHAPE, lambda x: conv(build, affine(build, x, 6)))))[0]
    )


@pytest.mark.parametrize("whole", [True, False])
def test_a_term_behind_codes_becomes_a_frame_of_codes(build, preserves, unchanged, names, whole):
    """Where the zero of every channel is a code."""
    codes = np.array([3, -100, 0, 7, 127, -128]) + (0 if whole else 0.25)
    factor = np.array([1, 2, 0.5, 1, 4, 0.25], "float32").reshape(6, 1, 1)

    def body(x):
        zero = build.const(5, "int8")
        q = build.e(op.quantize(x, build.const(0.5), zero, axis=-1, out_dtype="int8"))
        y = build.e(op.multiply(build.e(op.dequantize(q, build.const(0.5), zero, axis=-1)), build.const(factor)))
        term = ((5 - codes) * 0.5).reshape(6, 1, 1) * factor
        return conv(build, build.e(op.add(y, build.const(term))), 6, groups=6, bias=False)

    module = build(SHAPE, body)
    if not whole:
        assert "pads its input" in notes_of(unchanged(FoldAffineForward(), module))[0]
        return
    assert names(preserves(FoldAffineForward(), module)) == [
        *("quantize", "dequantize", "octet.frame", "quantize", "dequantize", "nn.conv2d", "add")
    ]


def test_a_norm_in_front_of_a_linear_layer_folds(build, preserves, names):
    def body(x):
        scaled = build.e(op.multiply(x, build.const(even(build.random(6)))))
        return op.matmul(build.e(op.add(scaled, build.const(build.random(6, seed=1)))), build.const(build.random(6, 3)))

    assert names(preserves(FoldAffineForward(), build([(2, 6)], body))) == ["matmul", "add"]


def test_a_norm_with_two_users_stays(build, unchanged):
    def body(x):
        y = affine(build, x, 6)
        return [conv(build, y, padding=(0, 0, 0, 0)), build.e(op.nn.relu(y))]

    unchanged(FoldAffineForward(), build(SHAPE, body))


@pytest.mark.parametrize("spread, folds", [(3.0, True), (1000.0, False)])
def test_factors_that_even_out_an_input_stay_with_a_reason(build, preserves, unchanged, names, spread, folds):
    """One scale for a tensor of metres beside millimetres leaves nothing of the metres; behind a layer the factors fold
    whatever they are."""
    factors = np.geomspace(1, spread, 6).astype(np.float32)

    def product(x):
        centred = build.e(op.add(x, build.const(build.random(6, seed=2))))
        return op.matmul(build.e(op.multiply(centred, build.const(factors))), build.const(build.random(6, 3)))

    if folds:
        assert "multiply" not in names(preserves(FoldAffineForward(), build([(2, 6)], product)))
    else:
        assert "evens out the channels" in notes_of(unchanged(FoldAffineForward(), build([(2, 6)], product)))[0]
    behind = build([(2, 6)], lambda x: product(build.e(op.nn.relu(x))))
    assert "multiply" not in names(preserves(FoldAffineForward(), behind))


def test_a_factor_goes_in_front_of_a_rectifier_and_leaves_its_signs(build, becomes):
    factor = even(build.random(1, 4, 1, 1))
    assert (factor < 0).any()

    def before(x):
        return op.multiply(build.e(op.nn.relu(conv(build, x))), build.const(factor))

    def expected(x):
        scaled = build.e(op.multiply(conv(build, x), build.const(np.abs(factor))))
        return op.multiply(build.e(op.nn.relu(scaled)), build.const(np.sign(factor)))

    becomes(FoldAffineThroughRelu(), build(SHAPE, before), build(SHAPE, expected))


@pytest.mark.parametrize("rectifier", [op.nn.relu, lambda x: op.nn.leakyrelu(x, 0.1)])
def test_a_factor_behind_a_rectified_layer_goes_into_the_layer(build, preserves, names, rectifier):
    """Signs go on to the next layer, terms too."""

    def body(x):
        y = affine(build, build.e(rectifier(conv(build, x))), 4)
        return conv(build, y, out=2, padding=(0, 0, 0, 0))

    module = preserves(
        FoldAffine(), preserves(FoldAffineForward(), preserves(FoldAffineThroughRelu(), build(SHAPE, body)))
    )
    assert names(module) == [
        "nn.conv2d",
        "add",
        rectifier(relax.Var("x", relax.TensorType([2], "float32"))).op.name.removeprefix("relax."),
        "nn.conv2d",
        "add",
    ]


def test_a_factor_behind_a_rectified_linear_layer(build, preserves, names):
    def body(x):
        y = build.e(op.nn.relu(build.e(op.matmul(x, build.const(build.random(6, 3))))))
        return op.multiply(y, build.const(np.array([300.0, 1.0, 0.01], np.float32)))

    assert names(preserves(FoldAffine(), preserves(FoldAffineThroughRelu(), build([(2, 6)], body)))) == [
        "matmul",
        "nn.relu",
    ]


def test_a_factor_stays_behind_a_rectifier_of_something_else(build, unchanged):
    """Of a bounded one, of one that others read, of a sum."""
    factor = build.const(even(build.random(1, 4, 1, 1)))
    unchanged(
        FoldAffineThroughRelu(), build(SHAPE, lambda x: op.multiply(build.e(op.clip(conv(build, x), 0, 6)), factor))
    )

    def shared(x):
        y = build.e(op.nn.relu(conv(build, x)))
        return [build.e(op.multiply(y, factor)), y]

    unchanged(FoldAffineThroughRelu(), build(SHAPE, shared))
    unchanged(
        FoldAffineThroughRelu(),
        build(
            [(2, 4, 7, 5), (2, 4, 7, 5)], lambda x, y: op.multiply(build.e(op.nn.relu(build.e(op.add(x, y)))), factor)
        ),
    )
