"""Random problems of the families that multiply, and what all problems are made of: a few operators each, on inputs of
their own."""

from typing import NamedTuple

import numpy as np
from tvm import relax

from octet.passes import ops
from octet.targets.bfloat16 import round_to_bfloat16

R, N = relax.op, relax.op.nn
# Below, at and beside steps, registers and vectors.
CHANNELS = (1, 2, 3, 4, 5, 7, 8, 12, 16, 17, 20, 31, 32, 33, 40, 48, 63, 64, 65, 80, 130)


class Case(NamedTuple):
    """shapes: of its inputs, float32. body(builder, *inputs): what is computed, one expression or a list. infinite:
    whether infinities are among the inputs. tolerance: 0.0 where the referee's bytes are demanded."""

    shapes: tuple
    body: object
    infinite: bool = False
    tolerance: float = 0.0


def few(rng, low, high):
    """A whole number from low to high."""
    return int(rng.integers(low, high + 1))


def one(rng, *values):
    return values[few(rng, 0, len(values) - 1)]


def coded(b, x, zero_point=3):
    """int8 codes of a float32 tensor."""
    return b.emit(
        R.quantize(x, relax.const(0.05, "float32"), relax.const(zero_point, "int8"), axis=-1, out_dtype="int8")
    )


def real(b, x):
    """float32 of int8 codes, which tells every two of them apart."""
    return b.emit(R.dequantize(x, relax.const(0.05, "float32"), relax.const(3, "int8"), axis=-1))


def emitted(b, name, operands, **attrs):
    return b.emit(ops.call(name, operands, **attrs))


def random_codes(rng, shape, low=-128):
    """int8, the ends of the type among them."""
    codes = rng.integers(low, 128, shape).astype("int8")
    codes.reshape(-1)[:3] = low
    return codes


def clips(rng):
    return {
        "out_zero_point": few(rng, -128, 127),
        "clip_min": one(rng, -128, few(rng, -128, -40)),
        "clip_max": one(rng, 127, few(rng, 40, 127)),
    }


def layer(b, rng, name, x, shape, residual=None, out_dtype="int8", **attrs):
    """octet.conv2d or octet.dense with a random weight of `shape` and other constants."""
    weight = random_codes(rng, shape, -127)
    constants = [
        weight,
        rng.integers(-5000, 5000, shape[0]).astype("int32"),
        (rng.random(shape[0]) * 0.02 / np.sqrt(weight[0].size)).astype("float32"),
    ]
    attrs |= {
        "data_zero_point": 3,
        "out_dtype": out_dtype,
        "residual_zero_point": 4,
        "residual_multiplier": 0.0 if residual is None else 0.6,
    }
    attrs |= clips(rng) if out_dtype == "int8" else {"clip_min": -np.inf, "clip_max": one(rng, np.inf, 1.0)}
    return emitted(b, name, [x, *map(relax.const, constants), *([residual] if residual is not None else [])], **attrs)


def windows(rng):
    """(kernel, image, its attributes): windows that may lie beside the image, and fit."""
    kernel = [few(rng, 1, 4), few(rng, 1, 4)]
    dilation = one(rng, [1, 1], [1, 1], [2, 1])
    image = [few(rng, d * (k - 1) + 1, 9) for k, d in zip(kernel, dilation)]
    padding = [few(rng, 0, k // 2) for k in kernel * 2]
    return kernel, image, {"strides": [few(rng, 1, 2), few(rng, 1, 2)], "padding": padding, "dilation": dilation}


def convolution(rng):
    """Dense and grouped; with a residual, a table behind it, or a float32 result."""
    groups = one(rng, 1, 1, 1, 2, 3)
    kernel, image, attrs = windows(rng)
    batch, inputs, outputs = few(rng, 1, 2), groups * one(rng, *CHANNELS[:17]), groups * one(rng, *CHANNELS[:17])
    end = one(rng, "", "", "table", "residual", "float32")

    def body(b, x):
        shape = (outputs, inputs // groups, *kernel)
        y = layer(
            b,
            rng,
            "octet.conv2d",
            coded(b, x),
            shape,
            None,
            "float32" if end == "float32" else "int8",
            groups=groups,
            **attrs,
        )
        if end == "residual":
            y = layer(
                b,
                rng,
                "octet.conv2d",
                y,
                (outputs, outputs // groups, 1, 1),
                y,
                groups=groups,
                strides=[1, 1],
                padding=[0] * 4,
                dilation=[1, 1],
            )
        if end == "table":
            y = emitted(b, "octet.table", [y, relax.const(random_codes(rng, 256))])
        return y if end == "float32" else real(b, y)

    return Case(((batch, inputs, *image),), body, True)


def depthwise(rng):
    channels = one(rng, *CHANNELS[1:], 200)
    kernel, image, attrs = windows(rng)
    table, residual = few(rng, 0, 2) == 0, few(rng, 0, 3) == 0

    def body(b, x):
        x = coded(b, x)
        y = layer(b, rng, "octet.conv2d", x, (channels, 1, *kernel), groups=channels, **attrs)
        if residual:
            y = layer(
                b,
                rng,
                "octet.conv2d",
                y,
                (channels, 1, 1, 1),
                y,
                groups=channels,
                strides=[1, 1],
                padding=[0] * 4,
                dilation=[1, 1],
            )
        return real(b, emitted(b, "octet.table", [y, relax.const(random_codes(rng, 256))]) if table else y)

    return Case(((few(rng, 1, 2), channels, *image),), body, True)


def linear(rng):
    """One row, some rows, many; with a residual or a float32 result."""
    rows, inputs, outputs = (
        one(rng, (1,), (1,), (few(rng, 2, 9),), (2, few(rng, 2, 9))),
        one(rng, *CHANNELS, 256),
        one(rng, *CHANNELS),
    )
    end = one(rng, "", "residual", "float32")

    def body(b, x):
        y = layer(
            b, rng, "octet.dense", coded(b, x), (outputs, inputs), None, "float32" if end == "float32" else "int8"
        )
        y = layer(b, rng, "octet.dense", y, (outputs, outputs), y) if end == "residual" else y
        return y if end == "float32" else real(b, y)

    return Case(((*rows, inputs),), body, True)


def float_layer(rng):
    """Sums in another order than the referee's."""
    channels, outputs = one(rng, *CHANNELS[:12]), one(rng, *CHANNELS[:12])
    kernel, image, attrs = windows(rng)
    groups = one(rng, 1, channels)
    outputs = channels if groups > 1 else outputs

    def body(b, x):
        constants = [
            rng.standard_normal(shape).astype("float32") for shape in ((outputs, channels // groups, *kernel), outputs)
        ]
        return emitted(
            b,
            "octet.conv2d",
            [x, *map(relax.const, constants)],
            groups=groups,
            out_dtype="float32",
            clip_min=one(rng, -np.inf, 0.0),
            clip_max=np.inf,
            **attrs,
        )

    return Case(((few(rng, 1, 2), channels, *image),), body, tolerance=1e-4)


def bfloat16_layer(rng):
    """The bits of targets that multiply bfloat16, with which these share packages, by FMA in float32."""
    channels, outputs = one(rng, *CHANNELS[:12]), one(rng, *CHANNELS[:12])
    kernel, image, attrs = windows(rng)
    weights = round_to_bfloat16(rng.standard_normal((outputs, channels, *kernel)).astype("float32")).astype("float32")
    bias = rng.standard_normal(outputs).astype("float32")

    def body(b, x):
        operands = [emitted(b, "octet.bfloat16", [x]), relax.const(weights), relax.const(bias)]
        clip = {"clip_min": one(rng, -np.inf, 0.0), "clip_max": np.inf}
        return emitted(b, "octet.conv2d", operands, groups=1, out_dtype="float32", **clip, **attrs)

    return Case(((few(rng, 1, 2), channels, *image),), body)


def product(rng):
    """Of two computed matrices, or many."""
    rows, inner, columns = few(rng, 1, 37), one(rng, *CHANNELS), few(rng, 1, 70)
    batch = one(rng, (), (few(rng, 2, 5),), (2, few(rng, 2, 3)))
    turned, dtype = few(rng, 0, 1), one(rng, "int8", "int8", "float32")
    zero_point, right = one(rng, -128, 0, 9), one(rng, 0, -7, 127)
    zero_points = {"a_zero_point": zero_point, "b_zero_point": right}
    attrs = (
        {"multiplier": 0.02 / np.sqrt(inner), "out_dtype": dtype}
        | zero_points
        | (clips(rng) if dtype == "int8" else {"out_zero_point": 0, "clip_min": -np.inf, "clip_max": np.inf})
    )

    def body(b, x, y):
        y = coded(b, y, right)
        y = b.emit(R.permute_dims(y, [*range(len(batch)), len(batch) + 1, len(batch)])) if turned else y
        found = emitted(b, "octet.matmul", [coded(b, x, zero_point), y], **attrs)
        return real(b, found) if dtype == "int8" else found

    return Case(((*batch, rows, inner), (*batch, columns, inner) if turned else (*batch, inner, columns)), body, True)


def attention(rng):
    """softmax(q k' [* scale] [+ mask]) v in one or two kernels."""
    heads, tokens, size = few(rng, 1, 3), few(rng, 2, 80), one(rng, 5, 16, 20, 32, 64)
    masked, scale = few(rng, 0, 1), one(rng, None, 0.125, 0.37)
    levels, zero_point = one(rng, (127, 0), (255, -128))
    attrs = {"out_zero_point": 0, "clip_min": -np.inf, "clip_max": np.inf, "out_dtype": "float32"}

    def body(b, q, k, v, *mask):
        turned = b.emit(R.permute_dims(coded(b, k, 0), [0, 1, 3, 2]))
        scores = emitted(b, "octet.matmul", [coded(b, q, 0), turned], multiplier=0.003, **attrs)
        scores = b.emit(R.multiply(scores, relax.const(np.float32(scale)))) if scale else scores
        scores = b.emit(R.add(scores, mask[0])) if mask else scores
        soft = b.emit(
            R.quantize(
                b.emit(N.softmax(scores, -1)),
                relax.const(np.float32(1 / levels)),
                relax.const(zero_point, "int8"),
                axis=-1,
                out_dtype="int8",
            )
        )
        attributes = {"multiplier": 0.01, "a_zero_point": zero_point, "out_dtype": "int8"} | clips(rng)
        return real(b, emitted(b, "octet.matmul", [soft, coded(b, v, 0)], **attributes))

    return Case(((1, heads, tokens, size),) * 3 + (((1, 1, 1, tokens),) if masked else ()), body)
