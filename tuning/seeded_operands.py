"""Operands that every machine makes for itself: bytes from a seed (targets/measure/random_values.py).

Weights travel with a candidate, so they repeat: with periods of 13 outputs and 29 channels they pack to a few
kilobytes, and an index that is wrong by any power of two still reads another value."""

import ml_dtypes
import numpy as np

from ..targets.bfloat16 import round_to_bfloat16
from ..targets.measure.job import Input
from ..targets.x86.layout import STORED_OFFSET, Layout

# Each kind of operand has a seed of its own, so that no two are equal.
DATA, SECOND, WEIGHT, BIAS, MULTIPLIER, TABLE = 1, 2, 3, 4, 5, 6
_PERIODS = (13, 29)  # Weights repeat after so many outputs and so many channels.


def made(seed: int, elements: int, dtype: str) -> tuple[np.ndarray, tuple[Input, ...]]:
    """A flat buffer, stored int8 ("uint8"), float32 or bfloat16 ("uint16"), and how another machine makes it: of
    floats, whose random bytes would be no numbers, it cannot. Of bfloat16 four neighbours are the same, as every vector
    unit has its own order for them (targets/x86/elementwise/bfloat16.py)."""
    if dtype == "uint16":
        return round_to_bfloat16(np.repeat(made(seed, -(-elements // 4), "float32")[0], 4)[:elements]).view(
            np.uint16
        ), ()
    if dtype == "float32":
        return (even_bytes(seed, elements, 2).view(np.int16)[:, 0].astype(np.float32)) * np.float32(2.0**-13), ()
    entry = Input.of(seed, elements, dtype)
    return entry.array(), (entry,)


def case_of_operands(*operands) -> dict:
    """`inputs` and `made` of a Case from the results of `made`."""
    portable = all(entry for _, entry in operands)
    return {
        "inputs": tuple(array for array, _ in operands),
        "made": tuple(one for _, entry in operands for one in entry) if portable else (),
    }


def even_bytes(seed: int, *shape: int) -> np.ndarray:
    """So many bytes of a seeded generator, evenly distributed; uint8."""
    return Input.of(seed, int(np.prod(shape)), "uint8").array().reshape(shape)


def periodic(outputs: int, channels: int, *kernel: int) -> np.ndarray:
    """int8 [outputs, channels, *kernel] in -127..127 that repeats along outputs and channels."""
    periods = [min(extent, period) for extent, period in zip((outputs, channels), _PERIODS)]
    block = np.maximum(even_bytes(WEIGHT, *periods, *kernel).view(np.int8), -127)
    return np.ascontiguousarray(block[np.arange(outputs) % periods[0]][:, np.arange(channels) % periods[1]])


def epilogue_vectors(outputs: int, depth: int) -> tuple[np.ndarray, np.ndarray]:
    """(bias int32, multiplier float32) of sums of `depth` products: most results lie within int8."""
    bias = even_bytes(BIAS, outputs, 2).view(np.int16)[:, 0].astype(np.int32) // 6
    return bias, (even_bytes(MULTIPLIER, outputs).astype(np.float32) + np.float32(1)) * np.float32(
        0.02 / 256 / np.sqrt(depth)
    )


def values_as_stored(stored: np.ndarray) -> np.ndarray:
    """uint8 as stored -> the int8 values, uint16 -> the bfloat16 ones; float32 as it is."""
    if stored.dtype == np.uint16:
        return stored.view(ml_dtypes.bfloat16)
    return (stored ^ STORED_OFFSET).view(np.int8) if stored.dtype == np.uint8 else stored


def stored_values(values: np.ndarray) -> np.ndarray:
    """int8 values -> uint8 as stored; float32 as it is."""
    return np.ascontiguousarray(values).view(np.uint8) ^ STORED_OFFSET if values.dtype == np.int8 else values


def channels_of_pixels(flat: np.ndarray, layout: Layout) -> np.ndarray:
    """The channels of every pixel of a packed buffer, [pixels, channels], int8 or float32."""
    return values_as_stored(flat)[: layout.pixels * layout.channel_stride].reshape(
        layout.pixels, layout.channel_stride
    )[:, : layout.channels]


def image_of(flat: np.ndarray, layout: Layout) -> np.ndarray:
    """A packed image as NCHW."""
    n, c, h, w = layout.shape
    return np.ascontiguousarray(channels_of_pixels(flat, layout).reshape(n, h, w, c).transpose(0, 3, 1, 2))


def answer(values: np.ndarray, layout: Layout) -> dict:
    """`expected`, `pitch` and `elements` of a Case whose output is packed. values: [pixels, channels], or an image
    NCHW."""
    rows = values.transpose(0, 2, 3, 1).reshape(layout.pixels, -1) if values.ndim == 4 else values
    return {
        "expected": stored_values(np.ascontiguousarray(rows)),
        "pitch": layout.channel_stride,
        "elements": layout.elements,
    }
