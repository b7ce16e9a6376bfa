"""Constants in a layout, at compile time."""

import numpy as np

from ..layout import Layout

# Any value would do in padding channels and slack; one that stays the same is reproducible.
FILLER = {"uint8": 128, "float32": 0.0}


def pack_constant(layout: Layout, array: np.ndarray) -> np.ndarray:
    """A logical array (int8 or float32) as the buffer of `layout`."""
    stored = (array.astype(np.int16) + 128).astype(np.uint8) if layout.dtype == "int8" else array.astype(layout.storage)
    stored = stored.reshape(layout.shape)
    if layout.kind == "plain":
        return np.ascontiguousarray(stored)
    buffer = np.full(layout.elements, FILLER[layout.storage], layout.storage)
    pixels = np.moveaxis(stored, 1, -1) if layout.kind == "nhwc" else stored
    rows = buffer[: layout.pixels * layout.channel_stride].reshape(layout.pixels, layout.channel_stride)
    rows[:, : layout.channels] = pixels.reshape(layout.pixels, layout.channels)
    return buffer
