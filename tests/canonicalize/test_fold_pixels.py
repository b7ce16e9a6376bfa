"""Mean and deviation of 8-bit pixels in front of the first layer: RaiseTransposes, FoldPixels."""

import numpy as np
import pytest
from tvm.relax import op

from octet.passes.canonicalize.pixels.fold_pixels import FoldPixels
from octet.passes.canonicalize.pixels.raise_transposes import RaiseTransposes
from octet.passes.ops import call
from octet.passes.referee import reference
from octet.passes.rewriting.rule import notes_of

IMAGE, FIRST = [(1, 3, 5, 6)], [0, 3, 1, 2]
MEAN, FACTOR = np.float32([128, 64, 32]), np.float32([0.5, 0.25, 0.125])


def by_channel(values, axis=1):
    return values.reshape(-1, 1, 1) if axis == 1 else values


def cast(build, x):
    return build.e(op.astype(x, "float32"))


def normalised(build, x, axis=1):
    return build.e(
        op.multiply(build.e(op.add(x, build.const(by_channel(-MEAN, axis)))), build.const(by_channel(FACTOR, axis)))
    )


def conv(build, x, weight, padding):
    return build.e(op.nn.conv2d(x, build.const(weight), padding=padding))


def weights(*shape):
    """Multiples of 1/8, of which sums and products are exact in float32."""
    return np.random.default_rng(0).integers(-8, 9, shape).astype("float32") / 8


@pytest.mark.parametrize("padding", [[0, 0, 0, 0], [1, 0, 2, 1]])
def test_they_move_into_weights_bias_and_frame(build, becomes, padding):
    weight = weights(4, 3, 3, 2)
    scaled = weight * FACTOR.reshape(3, 1, 1)
    bias = -(scaled * MEAN.reshape(3, 1, 1)).sum(axis=(1, 2, 3)).reshape(1, 4, 1, 1)

    def expected(x):
        y = cast(build, x)
        y = build.e(call("octet.frame", [y], padding=padding, fill=MEAN.tolist())) if any(padding) else y
        return op.add(conv(build, y, scaled, [0] * 4), build.const(bias))

    before = build(IMAGE, lambda x: conv(build, normalised(build, cast(build, x)), weight, padding), "uint8")
    after = becomes(FoldPixels(), before, build(IMAGE, expected, "uint8"))
    pixels = {"x0": np.random.default_rng(1).integers(0, 256, IMAGE[0]).astype("uint8")}
    np.testing.assert_array_equal(reference.run(after, pixels)[0], reference.run(before, pixels)[0])


def test_into_a_linear_layer(build, becomes):
    weight = weights(3, 4)
    scaled = weight * FACTOR.reshape(3, 1)
    before = build([(2, 3)], lambda x: op.matmul(normalised(build, cast(build, x), -1), build.const(weight)), "uint8")
    expected = build(
        [(2, 3)],
        lambda x: op.add(
            build.e(op.matmul(cast(build, x), build.const(scaled))),
            build.const(-(scaled * MEAN.reshape(3, 1)).sum(axis=0)),
        ),
        "uint8",
    )
    becomes(FoldPixels(), before, expected)


def test_channels_last_become_channels_first(build, becomes):
    """A pad and a constant of one channel axis turn with the pixels; of a reshape only lone numbers do not mind."""

    def before(x):
        padded = build.e(op.nn.pad(normalised(build, cast(build, x), -1), [0, 0, 1, 2, 3, 4, 0, 0]))
        return op.permute_dims(padded, FIRST)

    def expected(x):
        turned = build.e(op.permute_dims(cast(build, x), FIRST))
        mean, factor = (build.const(values.reshape(1, 3, 1, 1)) for values in (-MEAN, FACTOR))
        return op.nn.pad(build.e(op.multiply(build.e(op.add(turned, mean)), factor)), [0, 0, 0, 0, 1, 2, 3, 4])

    flat = lambda x: op.reshape(build.e(op.multiply(cast(build, x), build.const(0.5))), [1, 90])
    lone = lambda x: op.multiply(build.e(op.reshape(cast(build, x), [1, 90])), build.const(0.5))
    becomes(RaiseTransposes(), build([(1, 5, 6, 3)], before, "uint8"), build([(1, 5, 6, 3)], expected, "uint8"))
    becomes(RaiseTransposes(), build(IMAGE, flat, "uint8"), build(IMAGE, lone, "uint8"))


@pytest.mark.parametrize(
    "dtype, body",
    [
        # Without integers the result is measured, and clipped.
        ("float32", lambda b, x: op.permute_dims(normalised(b, x, -1), FIRST)),
        ("int32", lambda b, x: op.permute_dims(normalised(b, cast(b, x), -1), FIRST)),
        (
            "uint8",
            lambda b, x: op.reshape(normalised(b, cast(b, x), -1), [1, 90]),
        ),  # Its constant would vary along the new axis.
        ("uint8", lambda b, x: [op.permute_dims(y := normalised(b, cast(b, x), -1), FIRST), b.e(op.nn.relu(y))]),
    ],
)
def test_transposes_of_anything_else_stay(build, unchanged, dtype, body):
    unchanged(RaiseTransposes(), build([(1, 5, 6, 3)], lambda x: body(build, x), dtype))


def test_what_is_no_line_per_channel_stays(build, unchanged):
    def body(mean, padding=(1, 1, 1, 1), also=False):
        def made(x):
            y = build.e(op.add(cast(build, x), build.const(mean)))
            z = conv(build, y, weights(4, 3, 3, 3), list(padding))
            return [z, build.e(op.nn.relu(y))] if also else z

        return made

    beyond, varying = np.float32([-300, 0, 0]).reshape(3, 1, 1), np.zeros((5, 6), "float32")
    assert "zero is none of the 0 to 255" in notes_of(unchanged(FoldPixels(), build(IMAGE, body(beyond), "uint8")))[0]
    assert (
        "no factor and term per channel" in notes_of(unchanged(FoldPixels(), build(IMAGE, body(varying), "uint8")))[0]
    )
    unchanged(FoldPixels(), build(IMAGE, body(-by_channel(MEAN), also=True), "uint8"))
    unchanged(FoldPixels(), build(IMAGE, body(-by_channel(MEAN)), "int32"))
