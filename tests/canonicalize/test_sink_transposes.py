"""SinkTransposes: networks of channels-last frameworks compute with channels first."""

import pytest
from tvm.relax import op

from octet.passes.canonicalize.remove_noops import RemoveNoops
from octet.passes.canonicalize.sink_transposes import SinkTransposes

IMAGES = (2, 3, 4, 5)  # Channels come first.
LAST, FIRST = [0, 2, 3, 1], [0, 3, 1, 2]


def first(build, x):
    return build.e(op.permute_dims(x, FIRST))


def last(build, x):
    return build.e(op.permute_dims(x, LAST))


def test_constants_per_channel_get_their_axis_back(build, becomes, preserves):
    scale, term = build.random(1, 1, 1, 3), build.random(3, seed=1)

    def before(x):
        scaled = build.e(op.multiply(last(build, x), build.const(scale)))
        return op.permute_dims(build.e(op.nn.relu(build.e(op.add(scaled, build.const(term))))), FIRST)

    def expected(x):
        scaled = build.e(op.multiply(x, build.const(scale.reshape(1, 3, 1, 1))))
        return op.nn.relu(build.e(op.add(scaled, build.const(term.reshape(1, 3, 1, 1)))))

    module = build([IMAGES], before)
    preserves(SinkTransposes(), module)
    becomes(lambda mod: RemoveNoops()(SinkTransposes()(mod)), module, build([IMAGES], expected_output(build, expected)))


def expected_output(build, body):
    return lambda *inputs: build.e(body(*inputs))


def test_residual_sums_of_transposed_images(build, becomes, preserves):
    def before(x, y):
        return first(build, build.e(op.add(last(build, x), last(build, y))))

    def expected(x, y):
        return build.e(op.add(x, y))

    module = build([IMAGES, IMAGES], before)
    becomes(lambda mod: RemoveNoops()(SinkTransposes()(mod)), module, build([IMAGES, IMAGES], expected))
    preserves(SinkTransposes(), module)


@pytest.mark.parametrize(
    "body",
    [
        lambda build, x: op.concat([x, x], -1),
        lambda build, x: op.concat([x, x], 1),
        lambda build, x: op.nn.pad(x, [0, 0, 1, 2, 3, 4, 0, 0]),
        lambda build, x: op.mean(x, [1, 2], keepdims=True),
        lambda build, x: op.max(x, [3], keepdims=True),
        lambda build, x: op.mean(x, [1, 2]),
        lambda build, x: op.sum(x, [-1]),
        lambda build, x: op.subtract(build.const(build.random(4, 5, 1)), x),
        lambda build, x: op.multiply(x, build.const(2.0)),
        lambda build, x: build.unary("tanh", x),
        lambda build, x: op.clip(x, -1.0, 0.5),
    ],
)
def test_what_the_transposes_go_behind(build, preserves, names, body):
    def returning(x):
        result = build.leaf(body(build, last(build, x)))
        return first(build, result) if len(result.ty.shape.values) == 4 else result

    after = preserves(SinkTransposes(), build([IMAGES], returning))
    assert names(after)[0] != "permute_dims"


def test_sequences(build, becomes):
    term, turned = build.random(7, 3), lambda y: build.e(op.permute_dims(y, [0, 2, 1]))
    before = build([(2, 3, 7)], lambda x: turned(build.e(op.add(turned(x), build.const(term)))))
    becomes(
        SinkTransposes(),
        before,
        build([(2, 3, 7)], lambda x: turned(turned(build.e(op.add(x, build.const(term.T[None].copy())))))),
    )


def test_channels_that_stay_last_are_left_alone(build, unchanged):
    def tokens(x):
        return op.reshape(build.e(op.add(last(build, x), build.const(build.random(4, 5, 3)))), [2, 20, 3])

    unchanged(SinkTransposes(), build([IMAGES], tokens))


@pytest.mark.parametrize(
    "body",
    [
        lambda build, x, y: op.permute_dims(build.e(op.add(x, y)), FIRST),  # Here y lies channels last by itself.
        lambda build, x, y: op.permute_dims(build.e(op.nn.softmax(x, -1)), FIRST),
        lambda build, x, y: op.mean(x, [1]),  # Its result would have to be transposed again.
        lambda build, x, y: op.reshape(x, [2, 60]),
    ],
)
def test_other_operands_and_operators_keep_them(build, unchanged, body):
    unchanged(SinkTransposes(), build([IMAGES, (2, 4, 5, 3)], lambda x, y: body(build, last(build, x), y)))


def test_other_transposes_stay(build, unchanged):
    unchanged(SinkTransposes(), build([IMAGES], lambda x: op.nn.relu(build.e(op.permute_dims(x, [0, 1, 3, 2])))))
