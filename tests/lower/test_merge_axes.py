"""Tensors of awkward ranks: the merged module computes the same, and its kernels equal the referee."""

import numpy as np
import pytest
from tvm import relax

import octet.passes  # noqa: F401 - registers the operators
from octet.passes import ops
from octet.passes.lower.build import build_variant
from octet.passes.lower.merge_axes import MergeAxes
from octet.passes.ops import shape_of
from octet.passes.referee import reference
from octet.targets import detect
from octet.targets.opening import open_session
from octet.targets.variant import TensorSpec

RNG = np.random.default_rng(0)


def const(*shape):
    return relax.const(RNG.standard_normal(shape).astype("float32"))


def unary(x, kind):
    return ops.call("octet.unary", [x], kind=kind)


def dense(x, outputs, *residual):
    inputs = int(x.ty.shape.values[-1])
    return ops.call(
        "octet.dense",
        [x, const(inputs, outputs), const(outputs), *residual],
        clip_min=-np.inf,
        clip_max=np.inf,
        out_dtype="float32",
    )


def quantised(emit, x):
    """Between int8 tensors: a sum with a broadcast operand, and a table."""
    scale, zero = relax.const(np.float32(0.03)), relax.const(np.int8(3))
    q = emit(relax.op.quantize(x, scale, zero))
    part = emit(relax.op.strided_slice(q, [2, 4], [0, 0], [1, 1]))
    settings = {
        "a_zero_point": 3,
        "b_zero_point": 3,
        "a_multiplier": 0.7,
        "b_multiplier": 0.4,
        "out_zero_point": -2,
        "clip_min": -128,
        "clip_max": 127,
    }
    total = emit(ops.call("octet.add", [q, part], **settings))
    return emit(
        relax.op.dequantize(
            emit(ops.call("octet.table", [total, relax.const(RNG.integers(-128, 128, 256).astype("int8"))])),
            scale,
            zero,
        )
    )


def behind_a_layer(emit, x):
    """Two linear layers on a tensor of rank 4, with a function, a scale per channel and a residual in their form."""
    y = emit(relax.op.multiply(emit(unary(emit(dense(x, 20)), "gelu")), const(20)))
    return emit(dense(y, int(x.ty.shape.values[-1]), x))


def power(emit, x):
    """As a transform in front of a spectrum leaves it: squares and their sum on [1, 1, time, frequencies]."""
    turned = emit(relax.op.permute_dims(emit(relax.op.reshape(x, (1, 1, 9, 6))), [0, 1, 3, 2]))
    return emit(relax.op.add(emit(relax.op.multiply(turned, turned)), const(1, 1, 1, 9)))


def in_space(emit, x):
    """As graphs of atoms have it: vectors in space, factors per channel and per vector, a constant and a function."""
    per_channel = emit(relax.op.sum(x, 2, keepdims=True))
    per_vector = emit(relax.op.sum(x, 1, keepdims=True))
    scaled = emit(relax.op.multiply(per_channel, x))
    outer = emit(relax.op.multiply(per_channel, per_vector))
    added = emit(relax.op.add(emit(relax.op.subtract(scaled, outer)), const(1, 3)))
    return emit(unary(added, "sigmoid"))


NETWORKS = {
    "vectors in space": ((64, 70, 3), in_space),
    "one channel": ((1, 9, 6), power),
    "rank 0": ((2, 3), lambda emit, x: emit(relax.op.multiply(emit(unary(emit(relax.op.max(x)), "tanh")), const()))),
    "rank 1": ((13,), lambda emit, x: emit(unary(emit(relax.op.add(x, const(13))), "sigmoid"))),
    "rank 5": (
        (1, 3, 2, 4, 5),
        lambda emit, x: emit(relax.op.multiply(emit(unary(x, "sigmoid")), const(1, 3, 1, 1, 5))),
    ),
    "rank 6, one channel": ((1, 2, 2, 3, 2, 1), lambda emit, x: emit(relax.op.add(x, const(2, 1, 1, 1)))),
    "int8": ((1, 3, 2, 4, 5), quantised),
    "linear layers": ((2, 3, 4, 12), behind_a_layer),
}


def _values(module):
    return [binding.value for block in module["main"].body.blocks for binding in block.bindings]


def network(shape, body):
    builder, x = relax.BlockBuilder(), relax.Var("x", relax.TensorType(shape, "float32"))
    with builder.function("main", [x]):
        with builder.dataflow():
            result = builder.emit_output(body(builder.emit, x))
        builder.emit_func_output(result)
    return builder.get()


def test_before_and_expected(becomes):
    """Axes along which the second operand repeats are one; the last stays by itself."""
    shape, factor = (2, 3, 4, 5, 6), RNG.standard_normal((3, 1, 1, 6)).astype("float32")

    def expected(emit, x):
        product = relax.op.multiply(emit(relax.op.reshape(x, (2, 3, 20, 6))), relax.const(factor.reshape(1, 3, 1, 6)))
        return emit(relax.op.reshape(emit(product), shape))

    before = network(shape, lambda emit, x: emit(relax.op.multiply(x, relax.const(factor))))
    becomes(MergeAxes(), before, network(shape, expected))


def test_before_and_expected_of_short_rows(becomes):
    """What lacks one of the last two axes is repeated, then both are one."""
    shape, factor = (64, 64, 3), RNG.standard_normal((1, 64, 1)).astype("float32")

    def expected(emit, x):
        long = relax.const(np.broadcast_to(factor, (1, 64, 3)).reshape(1, 192).copy())
        product = emit(relax.op.multiply(emit(relax.op.reshape(x, (64, 192))), long))
        return emit(relax.op.reshape(product, shape))

    before = network(shape, lambda emit, x: emit(relax.op.multiply(x, relax.const(factor))))
    becomes(MergeAxes(), before, network(shape, expected))


def test_does_not_apply_to_short_rows_that_are_few_or_that_nothing_pads(unchanged):
    doubled = lambda emit, x: emit(relax.op.add(x, x))
    unchanged(MergeAxes(), network((63, 64, 3), doubled))
    unchanged(MergeAxes(), network((64, 64, 5), doubled))
    unchanged(MergeAxes(padded=False), network((64, 64, 3), doubled))


def test_does_not_apply_to_ranks_that_have_a_layout_and_to_what_mixes_axes(unchanged):
    for rank in (2, 3, 4):
        unchanged(MergeAxes(), network((2,) * rank, lambda emit, x: emit(relax.op.add(x, const(2)))))
    unchanged(MergeAxes(), network((2, 3, 2, 2, 2), lambda emit, x: emit(relax.op.nn.softmax(x))))


@pytest.mark.parametrize("case", NETWORKS)
def test_the_merged_network_equals_the_referee(case):
    shape, body = NETWORKS[case]
    module = network(shape, body)
    value = RNG.standard_normal(shape).astype("float32")
    (wanted,) = reference.run(module, {"x": value})
    (merged,) = reference.run(MergeAxes()(module), {"x": value})
    assert merged.tobytes() == wanted.tobytes()
    if case == "one channel":
        sums = [value for value in _values(MergeAxes()(module)) if ops.is_op(value, "relax.multiply", "relax.add")]
        assert [shape_of(each) for each in sums] == [(6, 9)] * 2
    variant = build_variant(
        module, detect.native(), (TensorSpec("x", shape, "float32"),), (TensorSpec("y", wanted.shape, "float32"),)
    )
    got = open_session(variant).run({"x": value})["y"]
    assert set(variant.extra["fallbacks"]) <= {"relax.strided_slice", "relax.max", "relax.sum", "relax.broadcast_to"}
    if case == "linear layers":  # Float products are summed in another order.
        np.testing.assert_allclose(got, wanted, atol=1e-5)
    else:
        assert got.tobytes() == wanted.tobytes()
