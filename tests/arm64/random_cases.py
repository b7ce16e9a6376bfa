"""Random problems of every kernel family: what a compiler, a linker and an emulator can take in one piece."""

import sys
from pathlib import Path

import numpy as np
from tvm import relax

from octet.passes import ops
from octet.passes.referee.resize import whole_taps
from octet.targets import float_math
from octet.targets.softmax_table import softmax_table

sys.path.insert(0, str(Path(__file__).parent))
from random_products import (
    CHANNELS,
    Case,
    N,
    R,
    attention,
    bfloat16_layer,
    clips,
    coded,
    convolution,
    depthwise,
    emitted,
    few,
    float_layer,
    linear,
    one,
    product,
    random_codes,
    real,
    windows,
)


def pooling(rng):
    kernel, image, attrs = windows(rng)
    kind, counted = one(rng, "max", "average", "float max", "float average", "float mean"), few(rng, 0, 1)
    strides, padding = attrs["strides"], attrs["padding"]

    def body(b, x):
        if kind == "average":
            attrs = {"pool_size": kernel, "strides": strides, "padding": padding, "count_include_pad": counted}
            attrs |= {"data_zero_point": 3, "multiplier": 0.8} | clips(rng)
            return real(b, emitted(b, "octet.avg_pool2d", [coded(b, x)], **attrs))
        if kind == "float average":
            return N.avg_pool2d(x, kernel, strides, padding, count_include_pad=bool(counted))
        if kind == "float mean":
            return R.mean(x, [2, 3], keepdims=bool(counted))
        found = b.emit(N.max_pool2d(coded(b, x) if kind == "max" else x, kernel, strides, padding))
        return real(b, found) if kind == "max" else found

    return Case(((few(rng, 1, 2), one(rng, *CHANNELS), *image),), body)


def integer_pair(rng):
    """octet.add and octet.mul, also of operands that are repeated."""
    shape = (few(rng, 1, 2), one(rng, *CHANNELS), few(rng, 1, 6), few(rng, 1, 6))
    other = one(rng, shape, shape, (shape[0], shape[1], 1, 1), (1, shape[1], 1, 1))
    scales = one(rng, {"a_multiplier": 0.7, "b_multiplier": 1.1}, {"multiplier": 0.02})

    def body(b, x, y):
        name = "octet.mul" if "multiplier" in scales else "octet.add"
        return real(
            b, emitted(b, name, [coded(b, x), coded(b, y, -4)], a_zero_point=3, b_zero_point=-4, **scales, **clips(rng))
        )

    return Case((shape, other), body, True)


def codes(rng):
    """octet.requantize, octet.table and a table per channel."""
    shape = one(
        rng, (few(rng, 1, 2), one(rng, *CHANNELS), few(rng, 1, 6), few(rng, 1, 6)), (few(rng, 1, 3), few(rng, 1, 300))
    )
    kind = one(rng, "requantize", "table", "channels")

    def body(b, x):
        x = coded(b, x)
        if kind == "requantize":
            return real(b, emitted(b, "octet.requantize", [x], data_zero_point=3, multiplier=0.77, **clips(rng)))
        return real(
            b,
            emitted(
                b, "octet.table", [x, relax.const(random_codes(rng, (shape[1], 256) if kind == "channels" else 256))]
            ),
        )

    return Case((shape,), body, True)


def softmax(rng):
    """In float32, to bytes, and of bytes in whole numbers; also of its logarithm."""
    shape, kind = (
        (few(rng, 1, 2), few(rng, 1, 9), one(rng, 1, 2, 7, 16, 33, 100, 197)),
        one(rng, "float", "log", "bytes", "table"),
    )

    def body(b, x):
        if kind == "table":
            return real(
                b,
                emitted(
                    b,
                    "octet.softmax",
                    [coded(b, x), relax.const(softmax_table(0.05))],
                    **one(rng, {"levels": 127, "out_zero_point": 0}, {"levels": 255, "out_zero_point": -128}),
                ),
            )
        found = b.emit((N.log_softmax if kind == "log" else N.softmax)(x, -1))
        return (
            real(
                b,
                b.emit(
                    R.quantize(
                        found, relax.const(np.float32(1 / 127)), relax.const(0, "int8"), axis=-1, out_dtype="int8"
                    )
                ),
            )
            if kind == "bytes"
            else found
        )

    return Case((shape,), body)


def norm(rng):
    """Layer and RMS normalisation between codes, or not."""
    shape = (few(rng, 1, 2), few(rng, 1, 9), one(rng, *CHANNELS[5:]))
    source, target, rms = few(rng, 0, 1), few(rng, 0, 1), few(rng, 0, 3) == 0

    def body(b, x):
        gamma, beta = (relax.const(rng.standard_normal(shape[-1]).astype("float32")) for _ in range(2))
        x = real(b, coded(b, x)) if source else x
        y = b.emit(
            N.rms_norm(x, gamma, axes=[-1], epsilon=1e-5)
            if rms
            else N.layer_norm(x, gamma, beta, axes=[-1], epsilon=1e-5)
        )
        return real(b, coded(b, y, -7)) if target else y

    return Case((shape,), body)


def recurrent(rng):
    rows, width = few(rng, 1, 5), one(rng, *CHANNELS[:15])
    kind, gates = one(rng, ("lstm_state", 4), ("lstm_output", 4), ("gru_output", 3))
    return Case(
        ((rows, gates * width), (rows, gates * width), (rows, width)),
        lambda b, *operands: emitted(b, f"octet.{kind}", list(operands)),
    )


def function(rng):
    kind = one(rng, *(kind for kind, (_, parameters) in float_math.FUNCTIONS.items() if not parameters))
    return Case(
        ((few(rng, 1, 2), one(rng, *CHANNELS), few(rng, 1, 5), few(rng, 1, 5)),),
        lambda b, x: emitted(b, "octet.unary", [x], kind=kind),
        True,
    )


def float_pair(rng):
    shape = (few(rng, 1, 2), one(rng, *CHANNELS), few(rng, 1, 6), few(rng, 1, 6))
    name, other = (
        one(rng, "add", "subtract", "multiply", "divide", "maximum", "minimum"),
        one(rng, shape, (shape[0], shape[1], 1, 1)),
    )
    return Case(
        (shape, other),
        lambda b, x, y: R.clip(b.emit(getattr(R, name)(*one(rng, (x, y), (y, x)))), -2.0, one(rng, 2.5, np.inf)),
    )


def reduced(rng):
    """Over the last axis, or the channels of an image."""
    name = one(rng, "mean", "sum", "argmax", "argmin", "log_softmax")
    shape, axis = one(
        rng,
        ((few(rng, 1, 3), few(rng, 1, 300)), -1),
        ((2, few(rng, 1, 5), few(rng, 1, 40)), -1),
        ((few(rng, 1, 2), one(rng, *CHANNELS), 4, 5), 1),
    )
    name = one(rng, "argmax", "log_softmax") if axis == 1 else name
    return Case((shape,), lambda b, x: (N.log_softmax if name == "log_softmax" else getattr(R, name))(x, axis=axis))


def moved(rng):
    """Copies, in codes and in float32."""
    shape = (few(rng, 1, 2), one(rng, *CHANNELS), few(rng, 3, 7), few(rng, 3, 7))
    kinds = {
        "concat": lambda b, x: R.concat([x, x], 1),
        "slice": lambda b, x: R.strided_slice(x, [2, 3], [0, 1], [3, 3], [2, 1]),
        "pad": lambda b, x: N.pad(x, [0, 0, 0, 0, 1, 2, 3, 0], "constant", 2),
        "turn": lambda b, x: R.permute_dims(x, [0, 2, 3, 1]),
        "flatten": lambda b, x: R.reshape(b.emit(R.flip(x, 2)), [shape[0], -1]),
        "interleave": lambda b, x: ops.call("octet.interleave", [x], strides=[2, 3], fill=0),
        "depth to space": lambda b, x: ops.call("octet.depth_to_space", [b.emit(R.concat([x] * 4, 1))], strides=[2, 2]),
        "nearest": lambda b, x: R.image.resize2d(
            x,
            [13, 11],
            layout="NCHW",
            method="nearest_neighbor",
            coordinate_transformation_mode="asymmetric",
            rounding_method="floor",
        ),
    }
    move, quantised = kinds[one(rng, *kinds)], few(rng, 0, 1)
    return Case((shape,), lambda b, x: real(b, b.emit(move(b, coded(b, x)))) if quantised else move(b, x))


def resized(rng):
    shape, result = (
        (few(rng, 1, 2), one(rng, *CHANNELS), few(rng, 1, 7), few(rng, 1, 7)),
        [few(rng, 1, 12), few(rng, 1, 12)],
    )
    mode = one(rng, "half_pixel", "asymmetric", "align_corners")
    (rows, row_units), (columns, column_units) = (whole_taps(old, new, mode) for old, new in zip(shape[2:], result))

    def body(b, x):
        operands = [coded(b, x), relax.const(rows), relax.const(columns)]
        return real(
            b,
            emitted(
                b,
                "octet.resize2d",
                operands,
                row_units=row_units,
                column_units=column_units,
                multiplier=1.2 / row_units / column_units,
                data_zero_point=3,
                **clips(rng),
            ),
        )

    return Case((shape,), body, True)


def ordered(rng):
    shape, k = (few(rng, 1, 3), few(rng, 3, 50)), few(rng, 1, 3)
    return Case(
        (shape,),
        lambda b, x: [
            b.emit(R.cumsum(x, -1, exclusive=bool(few(rng, 0, 1)))),
            *(b.emit(R.topk(x, k, -1, kind, True, "int64")) for kind in ("values", "indices")),
        ],
    )


def embedding(rng):
    """Rows of a table of codes, with indices beside it too."""
    rows, width, count = few(rng, 2, 40), one(rng, *CHANNELS[1:]), few(rng, 1, 30)
    table, scales = random_codes(rng, (rows, width)), rng.uniform(1e-3, 0.1, rows).astype("float32")

    def body(b, x):
        places = b.emit(R.astype(b.emit(R.multiply(x, relax.const(np.float32(rows / 4)))), one(rng, "int32", "int64")))
        return emitted(b, "octet.embedding", [relax.const(table), relax.const(scales), places])

    return Case(((count,),), body)


def added_rows(rng):
    """Rows with others added to them, some by numbers that no row has."""
    rows, width, count = few(rng, 1, 20), few(rng, 1, 150), few(rng, 1, 40)

    def body(b, x, updates, places):
        numbers = b.emit(R.astype(b.emit(R.multiply(places, relax.const(np.float32(rows / 3)))), "int64"))
        return emitted(b, "octet.scatter_add", [x, updates, numbers])

    return Case(((rows, width), (count, width), (count,)), body)


def suppressed(rng):
    """Boxes that overlap, and the places of what is true."""
    images, classes, boxes = few(rng, 1, 2), few(rng, 1, 3), few(rng, 1, 30)
    attrs = {"most": few(rng, 1, 9), "overlap": 0.3, "centers": few(rng, 0, 1)}

    def body(b, corners, scores):
        true = b.emit(R.greater(scores, relax.const(np.float32(0.3))))
        return [
            emitted(b, "octet.non_max_suppression", [corners, scores], **attrs),
            emitted(b, "octet.nonzero", [true]),
        ]

    return Case(((images, boxes, 4), (images, classes, boxes)), body)


# Families whose kernels ask how the level multiplies, or how many sums its registers hold; and those that ask nothing
# of it, with attention, which takes longest to compile and whose products are those of `product`.
OF_A_LEVEL = (convolution, depthwise, linear, float_layer, product, pooling)
OF_ALL = (attention, bfloat16_layer, integer_pair, codes, softmax, norm, recurrent, function)
OF_ALL += (float_pair, reduced, moved, resized, ordered, embedding, suppressed, added_rows)


def cases(seed, families=OF_A_LEVEL + OF_ALL):
    """{name of a family: Case}, always the same of a seed."""
    return {family.__name__: family(np.random.default_rng((seed, i))) for i, family in enumerate(families)}
