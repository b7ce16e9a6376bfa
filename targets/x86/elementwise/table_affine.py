"""Tables per channel that are straight lines: y = clip(round(x * scale[c] + shift[c]), low, high), all on stored bytes.

A BatchNormalization (with a ReLU) of a quantised tensor is a table of 256 entries per channel (octet.table). A look-up
of bytes in a table of its own for every channel is one load per element; the line takes three instructions for 16. It
is used only where all entries of all channels come out the same, which is tried out here."""

from dataclasses import dataclass

import numpy as np
from tvm import tirx
from tvm.tirx.script import builder as T

from ...cpu.expressions import bind, load_vector, splat, store_vector
from ..intrinsics import fence, pack_bytes, part, round_to_int
from ..kernel import argument, built_once, emit_kernel
from ..layout import SLACK, channel_stride
from ..vector_loops import each

_STEPS = 40  # Every step of the search for a slope shrinks the bracket by a third.


@dataclass(frozen=True)
class Lines:
    """A line per channel that stands for a table of 256 values. scale, shift: float32 [C]; low, high: bounds of the
    stored result, 0..255."""

    scale: np.ndarray
    shift: np.ndarray
    low: int
    high: int

    def __call__(self) -> np.ndarray:
        """uint8 [C, 256]: what the kernel computes for every stored input."""
        x = np.arange(256, dtype=np.float32)
        return np.clip(np.rint(x * self.scale[:, None] + self.shift[:, None]), self.low, self.high).astype(np.uint8)


def lines_of(table: np.ndarray) -> Lines | None:
    """int8 [C, 256] (index: s8 + 128) -> the lines that give exactly this table; None where a channel is none."""
    stored = (table.astype(np.int16) + 128).astype(np.float64)
    low, high = int(stored.min()), int(stored.max())
    constant = (stored == stored[:, :1]).all(1)[:, None]
    inside = (stored > low) & (stored < high) | constant
    scale, shift, reach = _least_squares(stored, inside, high - low)
    lines = Lines(scale.astype(np.float32), shift.astype(np.float32), low, high)
    wrong = (lines() != stored).any(1)
    if wrong.any():
        floor, ceiling = inside | (stored == high), inside | (stored == low)
        scale[wrong], shift[wrong] = _middle(stored[wrong], floor[wrong], ceiling[wrong], scale[wrong], reach[wrong])
        lines = Lines(scale.astype(np.float32), shift.astype(np.float32), low, high)
    return lines if (lines() == stored).all() else None


def _least_squares(stored: np.ndarray, inside: np.ndarray, most: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(scale, shift, how far the slope may be from there): through the points inside; where there are fewer than two, a
    step of `most`."""
    x, n = np.arange(256.0), inside.sum(1)
    mean_x, mean_y = (inside * x).sum(1) / np.maximum(n, 1), (inside * stored).sum(1) / np.maximum(n, 1)
    dx, dy = (x - mean_x[:, None]) * inside, stored - mean_y[:, None]
    scale = (dx * dy).sum(1) / np.maximum((dx * dx).sum(1), 1e-9)
    reach = 1.5 / np.maximum(n - 1, 1)  # Two lines within half a unit of the same points differ by no more.
    scale, reach = np.where(n < 2, np.sign(stored[:, -1] - stored[:, 0]) * most, scale), np.where(n < 2, most, reach)
    return scale, mean_y - scale * mean_x, reach


def _middle(
    stored: np.ndarray, floor: np.ndarray, ceiling: np.ndarray, near: np.ndarray, reach: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The line with most room: results must not round below `stored` where `floor`, nor above it where `ceiling`. The
    room is concave in the slope."""
    x = np.arange(256.0)

    def room(scale: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rest = stored - scale[:, None] * x
        least, most = np.where(floor, rest, -np.inf).max(1) - 0.5, np.where(ceiling, rest, np.inf).min(1) + 0.5
        return most - least, (most + least) / 2

    left, right = near - reach, near + reach
    for _ in range(_STEPS):
        a, b = left + (right - left) / 3, right - (right - left) / 3
        more = room(a)[0] > room(b)[0]
        left, right = np.where(more, left, a), np.where(more, b, right)
    scale = (left + right) / 2
    return scale, room(scale)[1]


@built_once
def affine_kernel(pixels: int, channels: int, low: int, high: int) -> tirx.PrimFunc:
    """(x u8, scale f32, shift f32, y u8): packed tensors; scale and shift padded to the channel stride
    (`pad_lines`)."""
    stride = channel_stride(channels, "int8")

    def body() -> None:
        x = argument("x", pixels * stride + SLACK, "uint8")
        scale, shift = argument("scale", stride, "float32"), argument("shift", stride, "float32")
        y = argument("y", pixels * stride + SLACK, "uint8")

        def group(row: tirx.Expr | int, first: tirx.Expr | int, vectors: int) -> None:
            words = []
            for v in range(vectors):
                at = first + v * 16
                value = tirx.Cast("float32x16", tirx.Cast("int32x16", load_vector(x, row + at, 16)))
                words.append(bind(round_to_int(fence(value * load_vector(scale, at, 16)) + load_vector(shift, at, 16))))
            packed = pack_bytes(words + words[-1:] * (4 - vectors), 0)
            if low > 0:
                packed = tirx.max(packed, splat(low, "uint8", 64))
            packed = bind(tirx.min(packed, splat(high, "uint8", 64)) if high < 255 else packed)
            for start, size in ((0, 4),) if vectors == 4 else ((0, 2), (2, 1)) if vectors == 3 else ((0, vectors),):
                store_vector(y, row + first + start * 16, part(packed, start * 16, size * 16))

        with each(pixels, 2 * pixels * stride) as pixel:
            row = bind(pixel * stride)
            if stride >= 64:
                with T.serial(0, stride // 64) as i:
                    group(row, i * 64, 4)
            if stride % 64:
                group(row, stride // 64 * 64, stride % 64 // 16)

    return emit_kernel(f"lines_{pixels}x{channels}", body)


def pad_lines(values: np.ndarray) -> np.ndarray:
    """A float32 array of one value per channel, filled up to the stride of channels."""
    return np.pad(values, (0, channel_stride(len(values), "int8") - len(values)))
