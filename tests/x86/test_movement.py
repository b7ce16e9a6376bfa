"""Concat, split, slices, padding, resize, reshape and transposes through lowering, int8 and float32, against the
referee."""

import sys
from pathlib import Path

import pytest
from tvm import relax

from octet.passes import ops

sys.path.insert(0, str(Path(__file__).parent))
from rule_harness import check, check_all, dequantize, quantize

R = relax.op


def _both(cases):
    """{name: (shapes, move)}: move(builder, *tensors) on float32 and on int8 tensors."""
    check_all(cases)
    check_all({name: (shapes, _of_codes(move)) for name, (shapes, move) in cases.items()})


def _of_codes(move):
    return lambda b, *xs: dequantize(b, b.emit(move(b, *(quantize(b, x) for x in xs))))


def test_concat():
    cases = [
        ((2, 17, 5, 6), (2, 1, 5, 6), 1),
        ((2, 64, 3, 3), (2, 128, 3, 3), 1),
        ((1, 1, 4, 4), (1, 2, 4, 4), 1),
        ((2, 17, 5, 6), (2, 17, 3, 6), 2),
        ((2, 3, 5, 6), (2, 3, 5, 1), 3),
        ((2, 17, 5, 6), (1, 17, 5, 6), 0),
        ((3, 20), (3, 7), 1),
        ((2, 5, 20), (2, 6, 20), 1),
    ]
    _both(
        {
            f"{a} {b} on {axis}": ({"x": a, "y": b}, lambda builder, x, y, axis=axis: R.concat([x, y, x], axis))
            for a, b, axis in cases
        }
    )


MOVES = {
    "slice of channels and rows": lambda b, x: R.strided_slice(x, [1, 2], [1, 2], [3, 6]),
    "slice with steps": lambda b, x: R.strided_slice(x, [2, 3], [0, 1], [6, 6], [2, 2]),
    "pad": lambda b, x: R.nn.pad(x, [0, 0, 0, 0, 1, 2, 3, 0], "constant", 2),
    "reflect": lambda b, x: R.nn.pad(x, [0, 0, 0, 0, 1, 2, 3, 0], "reflect"),
    "flip": lambda b, x: R.flip(x, 2),
    "interleave": lambda b, x: ops.call("octet.interleave", [x], strides=[2, 3], fill=0),
    "depth to space": lambda b, x: ops.call("octet.depth_to_space", [b.emit(R.concat([x] * 6, 1))], strides=[2, 3]),
    "frame": lambda b, x: ops.call(
        "octet.frame", [x], padding=[1, 0, 2, 3], fill=[c - 18 for c in range(int(x.ty.shape.values[1]))]
    ),
    "frame of rows": lambda b, x: ops.call(
        "octet.frame", [x], padding=[1, 0, 0, 0], fill=[c - 18 for c in range(int(x.ty.shape.values[1]))]
    ),
    "nearest": lambda b, x: R.image.resize2d(
        x,
        [13, 11],
        layout="NCHW",
        method="nearest_neighbor",
        coordinate_transformation_mode="asymmetric",
        rounding_method="floor",
    ),
    "nchw to nhwc": lambda b, x: R.permute_dims(x, [0, 2, 3, 1]),
    "nhwc to nchw": lambda b, x: R.permute_dims(x, [0, 3, 1, 2]),
    "join columns": lambda b, x: R.reshape(b.emit(R.flip(x, 2)), [x.ty.shape.values[0], x.ty.shape.values[1], 1, -1]),
    "flatten": lambda b, x: R.reshape(b.emit(R.flip(x, 2)), [x.ty.shape.values[0], -1]),
}


@pytest.mark.parametrize("shape", [(2, 37, 7, 9), (1, 3, 6, 6)])
def test_images(shape):
    _both({name: ({"x": shape}, move) for name, move in MOVES.items()})


# Copies without a kernel of ours.
GENERATED = {
    "tile": lambda x: R.tile(x, [1, 2, 1, 3]),
    "repeat": lambda x: R.repeat(x, 2, 3),
    "stack": lambda x: R.stack([x, x], 2),
    "broadcast_to": lambda x: R.broadcast_to(R.max(x, [2], keepdims=True), [2, 20, 5, 4]),
}


def test_generated_copies():
    shapes = {"x": (2, 20, 3, 4)}
    moves = {name: lambda b, x, made=made: b.emit(b.normalize(made(x))) for name, made in GENERATED.items()}
    fallbacks = [f"relax.{name}" for name in GENERATED] + ["relax.max"]
    check_all({name: (shapes, move) for name, move in moves.items()}, fallbacks=fallbacks)
    check_all(
        {
            name: (shapes, lambda b, x, move=move: dequantize(b, move(b, quantize(b, x))))
            for name, move in moves.items()
        },
        fallbacks=fallbacks,
    )


def test_linear_resize():
    def resized(mode):
        return lambda b, x: R.image.resize2d(
            x, [13, 11], layout="NCHW", method="linear", coordinate_transformation_mode=mode
        )

    check_all({mode: ({"x": (2, 37, 7, 9)}, resized(mode)) for mode in ("half_pixel", "asymmetric", "align_corners")})


def test_rows():
    _both(
        {
            "slice": ({"x": (2, 7, 50)}, lambda b, x: R.strided_slice(x, [1, 2], [1, 5], [6, 25])),
            "transpose": ({"x": (2, 20, 30)}, lambda b, x: R.permute_dims(x, [0, 2, 1])),
        }
    )


def test_split():
    def parts(b, x):
        split = b.emit(R.split(quantize(b, x), [10, 27], 1))
        return [dequantize(b, b.emit(relax.TupleGetItem(split, i))) for i in range(3)]

    check({"x": (2, 50, 4, 4)}, parts)


def test_padded_channels():
    """No kernel of ours pads channels; the stored bytes of an int8 tensor must be padded with 128 added."""
    for value in (-128, 5):
        check(
            {"x": (1, 5, 3, 4)},
            lambda b, x, v=value: dequantize(
                b, b.emit(R.nn.pad(quantize(b, x), [0, 0, 2, 1, 0, 0, 0, 0], "constant", v))
            ),
            fallbacks=["relax.nn.pad"],
        )
