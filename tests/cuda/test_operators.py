"""Pooling, elementwise operators and data movement, byte for byte against the referee."""

import numpy as np
import pytest
from cuda_harness import codes, constant, differences, emulated
from tvm import relax

from octet.passes import ops
from octet.targets.cuda.kernels.movement import move, quantize, region
from octet.targets.cuda.layout import packed, plain

RNG = np.random.default_rng(11)
ADD = dict(
    a_zero_point=3, b_zero_point=-5, out_zero_point=2, a_multiplier=0.61, b_multiplier=0.27, clip_min=-128, clip_max=110
)
MUL = dict(a_zero_point=3, b_zero_point=-5, out_zero_point=2, multiplier=0.011, clip_min=-100, clip_max=127)
HALVES = np.concatenate(
    [np.arange(-600, 601) * np.float32(0.125), np.float32([3e9, -3e9, 3e38, -3e38, np.inf, -np.inf])]
)[None].astype(np.float32)  # Ties are among them, and what leaves int32.
AVERAGE = dict(data_zero_point=4, out_zero_point=-9, multiplier=1.13, clip_min=-128, clip_max=127)


def octet(name, *more, **attrs):
    return lambda b, *args: b.emit(ops.call(f"octet.{name}", [*args, *more], **attrs))


def max_pool(size, strides, padding, **more):
    return lambda b, x: b.emit(relax.op.nn.max_pool2d(x, size, strides, padding, **more))


def moved(make):
    return lambda b, *args: b.emit(make(*args))


def image(*shape):
    return {"x": codes(RNG, *shape)}


def pair(first, second):
    return {"a": codes(RNG, *first), "b": codes(RNG, *second)}


def through_packed(make):
    """The operator on a tensor that a kernel wrote channels-last."""
    identity = dict(
        data_zero_point=0,
        out_zero_point=0,
        multiplier=1.0,
        clip_min=-128,
        clip_max=127,
        pool_size=[1, 1],
        strides=[1, 1],
        padding=[0] * 4,
    )

    def emit(b, x, *more):
        return b.emit(make(b.emit(ops.call("octet.avg_pool2d", [x], count_include_pad=True, **identity)), *more))

    return emit


CASES = {
    "add": (octet("add", **ADD), pair((2, 19, 5, 3), (2, 19, 5, 3))),
    "add per channel": (octet("add", **ADD), pair((2, 19, 5, 3), (2, 19, 1, 1))),
    "add constant": (octet("add", constant(codes(RNG, 19, 1, 1)), **ADD), {"a": codes(RNG, 2, 19, 5, 3)}),
    "add both ways": (octet("add", **ADD), pair((1, 6, 4, 1), (2, 1, 1, 5))),
    "add rows": (octet("add", **ADD), pair((2, 7, 33), (33,))),
    "add of three channels": (octet("add", **ADD), pair((1, 3, 4, 4), (1, 3, 4, 4))),
    "mul": (octet("mul", **MUL), pair((1, 40, 3, 3), (1, 40, 1, 1))),
    "mul scalar": (octet("mul", **MUL), pair((3, 20), (1, 1))),
    "requantize": (
        octet("requantize", data_zero_point=9, out_zero_point=-3, multiplier=0.77, clip_min=-90, clip_max=127),
        image(1, 5, 3, 7),
    ),
    "table": (octet("table", constant(codes(RNG, 256))), image(2, 9, 3, 3)),
    "table per channel": (octet("table", constant(codes(RNG, 9, 256))), image(2, 9, 3, 3)),
    "table of rows": (octet("table", constant(codes(RNG, 256))), image(2, 3, 50)),
    "max pool": (max_pool((3, 3), (2, 2), (1, 1, 1, 1)), image(2, 19, 9, 8)),
    "max pool, ceil": (max_pool((3, 2), (2, 2), (0, 0), ceil_mode=True), image(1, 3, 8, 7)),
    "max pool, dilated": (max_pool((2, 2), (1, 1), (0, 0), dilation=(2, 2)), image(1, 32, 5, 5)),
    "average": (
        octet("avg_pool2d", pool_size=[3, 2], strides=[2, 1], padding=[1, 1, 0, 1], count_include_pad=False, **AVERAGE),
        image(2, 18, 7, 6),
    ),
    "average with padding": (
        octet("avg_pool2d", pool_size=[2, 2], strides=[2, 2], padding=[1, 1, 1, 1], count_include_pad=True, **AVERAGE),
        image(1, 3, 6, 6),
    ),
    "global average": (
        octet("avg_pool2d", pool_size=[7, 6], strides=[1, 1], padding=[0] * 4, count_include_pad=False, **AVERAGE),
        image(2, 35, 7, 6),
    ),
    "transpose": (moved(lambda x: relax.op.permute_dims(x, [0, 2, 3, 1])), image(2, 5, 3, 4)),
    "transpose back": (through_packed(lambda x: relax.op.permute_dims(x, [3, 0, 2, 1])), image(2, 5, 3, 4)),
    "transpose of a matrix": (moved(lambda x: relax.op.permute_dims(x)), image(7, 5)),
    "flatten": (through_packed(lambda x: relax.op.reshape(x, (2, 60))), image(2, 5, 3, 4)),
    "rows to image": (moved(lambda x: relax.op.reshape(x, (2, 20, 1, 1))), image(2, 20)),
    "heads": (moved(lambda x: relax.op.permute_dims(relax.op.reshape(x, (2, 7, 4, 8)), [0, 2, 1, 3])), image(2, 7, 32)),
    "five axes": (
        moved(lambda x: relax.op.permute_dims(relax.op.reshape(x, (2, 3, 4, 2, 2)), [0, 2, 1, 4, 3])),
        image(2, 12, 2, 2),
    ),
    "concat": (moved(lambda a, b: relax.op.concat([a, b, a], 1)), pair((2, 16, 3, 3), (2, 7, 3, 3))),
    "concat of rows": (moved(lambda a, b: relax.op.concat([a, b], 0)), pair((2, 5), (3, 5))),
    "split": (lambda b, x: _split(b, x), image(1, 20, 3, 2)),
    "slice": (through_packed(lambda x: relax.op.strided_slice(x, [1, 3], [1, 7], [9, 0], [2, -3])), image(1, 12, 3, 8)),
    "pad": (
        through_packed(lambda x: relax.op.nn.pad(x, [0, 0, 1, 0, 0, 2, 1, 1], "constant", -7.0)),
        image(1, 12, 3, 4),
    ),
    "interleave": (octet("interleave", strides=[2, 3], fill=-4), image(1, 17, 3, 2)),
    "depth to space": (octet("depth_to_space", strides=[3, 2]), image(2, 102, 3, 2)),
    "frame": (octet("frame", padding=[1, 0, 2, 3], fill=list(range(-8, 9))), image(2, 17, 3, 2)),
    "frame of few channels": (octet("frame", padding=[1, 1, 1, 1], fill=[-128, 127, 5]), image(1, 3, 3, 2)),
    "flip": (moved(lambda x: relax.op.flip(x, 3)), image(1, 12, 3, 4)),
    "tile": (moved(lambda x: relax.op.tile(x, [1, 2, 1, 3])), image(1, 12, 3, 4)),
    "repeat": (moved(lambda x: relax.op.repeat(x, 2, 3)), image(1, 12, 3, 4)),
    "stack": (moved(lambda x: relax.op.stack([x, x], 2)), image(1, 12, 3, 4)),
    "broadcast": (moved(lambda x: relax.op.broadcast_to(x, [2, 12, 3, 4])), image(1, 12, 3, 1)),
    "resize": (
        moved(
            lambda x: relax.op.image.resize2d(
                x,
                (6, 8),
                method="nearest_neighbor",
                coordinate_transformation_mode="asymmetric",
                rounding_method="floor",
            )
        ),
        image(1, 18, 3, 4),
    ),
    "dequantize": (
        moved(
            lambda x: relax.op.dequantize(
                x, relax.const(np.float32(0.037)), relax.const(np.int8(-12)), out_dtype="float32"
            )
        ),
        image(1, 6, 3, 4),
    ),
    "quantize": (
        moved(
            lambda x: relax.op.quantize(x, relax.const(np.float32(0.037)), relax.const(np.int8(-12)), out_dtype="int8")
        ),
        {"x": np.concatenate([RNG.standard_normal(94) * 3, [1e30, -1e30]]).astype(np.float32).reshape(2, 6, 2, 4)},
    ),
    "quantize pixels": (
        moved(
            lambda x: relax.op.quantize(x, relax.const(np.float32(0.037)), relax.const(np.int8(-12)), out_dtype="int8")
        ),
        {"x": np.append(RNG.standard_normal(2 * 3 * 6 * 4 - 1) * 3, 1e30).astype(np.float32).reshape(2, 3, 6, 4)},
    ),
    "quantize neighbours": (
        moved(
            lambda x: relax.op.quantize(x, relax.const(np.float32(0.04)), relax.const(np.int8(-3)), out_dtype="int8")
        ),
        {"x": (RNG.standard_normal((3, 5, 48)) * 3).astype(np.float32)},
    ),
    "quantize halves": (
        moved(
            lambda x: relax.op.quantize(x, relax.const(np.float32(0.5)), relax.const(np.int8(-11)), out_dtype="int8")
        ),
        {"x": HALVES},
    ),
    "an input is a result": (lambda b, x: [x, x], image(1, 6, 3, 4)),
}


def _split(b, x):
    parts = b.emit(relax.op.split(x, [3, 8], 1))
    return [b.emit(relax.TupleGetItem(parts, i)) for i in range(3)]


@pytest.fixture(scope="module")
def operators():
    return emulated(CASES)


@pytest.mark.parametrize("name", CASES)
def test_operator(operators, name):
    machine, found = operators
    assert not differences(machine, *found[name], CASES[name][1], seeds=(0, 1))


def test_elements_that_lie_together_move_16_bytes_at_a_time():
    old, new = packed((2, 32, 3, 3)), packed((2, 48, 3, 3))
    at = {start: move(region(old.shape, 0, old.steps, start, new.steps), 1) for start in (0, 16, 20, 1)}
    assert ["uint4" in at[0].call, "uint4" in at[16].call, "unsigned" in at[20].call, "signed char" in at[1].call] == [
        True
    ] * 4


def test_floats_that_lie_together_become_codes_four_at_a_time():
    """Pixels of a first layer and rows, where they are whole; else a byte a thread."""

    def call(*shape):
        return quantize(plain(shape, "float32"), packed(shape), np.float32(0.1), 3).call

    assert call(2, 3, 6, 4).startswith("quantize_pixels<2, 3, 24,") and call(2, 3, 5, 3).endswith(", 1>")
    assert call(3, 5, 48).endswith(", 4>") and call(2, 6, 2, 4).endswith(", 1>") and call(3, 5, 30).endswith(", 1>")
