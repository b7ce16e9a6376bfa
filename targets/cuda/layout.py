"""Where the elements of a tensor lie in a GPU buffer.

"plain": the logical shape, row-major. "packed": channels last, the distance between two pixels rounded up to 16 bytes
(4 for int8 of at most 4 channels); the channel is axis 1 of rank 4, the last axis of rank 2 and 3. int8 is stored as it
is. Padding channels hold unspecified values."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod

import numpy as np

GRANULE = 16  # The widest load, store and asynchronous copy moves 16 bytes.
SLACK = 16  # Kernels may read this far, in bytes, behind a buffer.


@dataclass(frozen=True)
class CudaLayout:
    """How a tensor lies in a device's memory. kind: "plain", "packed" (int8, rank 2 to 4) or "rows" (int8, any rank: as
    packed, but the last axis is the channel). shape: logical."""

    kind: str
    shape: tuple[int, ...]
    dtype: str

    def __post_init__(self) -> None:
        assert self.kind in ("plain", "packed", "rows"), self.kind
        assert self.kind == "plain" or self.dtype == "int8", (self.kind, self.dtype)
        assert self.kind != "packed" or 2 <= len(self.shape) <= 4, self.shape

    @property
    def channel_axis(self) -> int:
        """The axis of the logical tensor that lies innermost."""
        return 1 if self.kind == "packed" and len(self.shape) == 4 else len(self.shape) - 1

    @property
    def channels(self) -> int:
        """Logical channels, those that fill up a packed pixel not counted."""
        return self.shape[self.channel_axis]

    @property
    def stride(self) -> int:
        """Elements from one pixel of a packed tensor to the next."""
        return 4 if self.channels <= 4 else -(-self.channels // GRANULE) * GRANULE

    @property
    def pixels(self) -> int:
        """Elements of a channel."""
        return prod(self.shape) // self.channels

    @property
    def image(self) -> tuple[int, int, int]:
        """(images, height, width) of a packed tensor, not of rows; a matrix has one pixel per image, [B, T, C] has T
        columns."""
        if len(self.shape) == 4:
            return self.shape[0], self.shape[2], self.shape[3]
        return (self.shape[0], 1, self.shape[1]) if len(self.shape) == 3 else (self.shape[0], 1, 1)

    @property
    def elements(self) -> int:
        """Elements of the buffer, without slack."""
        return prod(self.shape) if self.kind == "plain" else self.pixels * self.stride

    @property
    def bytes(self) -> int:
        """Bytes in memory, padding included."""
        return self.elements * np.dtype(self.dtype).itemsize

    @property
    def steps(self) -> tuple[int, ...]:
        """Elements from one index to the next, per logical axis."""
        if self.kind == "plain":
            return tuple(prod(self.shape[axis + 1 :]) for axis in range(len(self.shape)))
        if self.kind == "packed" and len(self.shape) == 4:
            _, _, height, width = self.shape
            return (height * width * self.stride, 1, width * self.stride, self.stride)
        return (*(prod(self.shape[axis + 1 : -1]) * self.stride for axis in range(len(self.shape) - 1)), 1)

    def same_places(self, other: "CudaLayout") -> bool:
        """Whether every element lies where it does in `other`, and nothing else does."""
        steps = zip(self.shape, self.steps, other.steps, strict=True)
        return (
            self.shape == other.shape
            and self.elements == other.elements
            and all(extent == 1 or a == b for extent, a, b in steps)
        )


@dataclass(frozen=True)
class Strided:
    """A tensor in the buffer of another one, as transposing left it. steps: elements from one index to the next, per
    logical axis."""

    shape: tuple[int, ...]
    steps: tuple[int, ...]
    dtype: str
    kind = "strided"

    @property
    def bytes(self) -> int:
        """Bytes of the tensor's elements, without what lies between them."""
        return prod(self.shape) * np.dtype(self.dtype).itemsize

    @property
    def dense(self) -> "CudaLayout":
        """What it becomes for whoever cannot read it where it lies."""
        return plain(self.shape, self.dtype)

    def same_places(self, other: "CudaLayout") -> bool:
        """Always False: whatever else lies in the buffer must stay."""
        return False  # A strided tensor may be a part of its buffer.


def reshaped(layout: Strided, shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """Steps of the same elements in another shape, where every axis of it is a part of one of the layout's; None where
    axes are joined."""
    steps, axes = [], list(zip(layout.shape, layout.steps, strict=True))
    rest, step = 1, 0
    for extent in reversed(shape):
        while rest == 1 and axes and extent > 1:
            rest, step = axes.pop()
        if rest % extent:
            return None
        steps.append(step)
        rest, step = rest // extent, step * extent
    return tuple(reversed(steps)) if rest == 1 and all(extent == 1 for extent, _ in axes) else None


def packed(shape: tuple[int, ...] | Iterable[int], dtype: str = "int8") -> CudaLayout:
    """The layout that kernels want: packed for int8 of rank 2 to 4, plain for the rest."""
    shape = tuple(int(extent) for extent in shape)
    return CudaLayout("packed" if dtype == "int8" and 2 <= len(shape) <= 4 else "plain", shape, dtype)


def row_layout(shape: tuple[int, ...]) -> CudaLayout:
    """The layout of int8 with the last axis as the channel."""
    shape = tuple(int(extent) for extent in shape)
    return CudaLayout("packed" if len(shape) in (2, 3) else "rows", shape, "int8")


def plain(shape: Iterable[int], dtype: str) -> CudaLayout:
    """The layout that NumPy has: C order, no padding."""
    return CudaLayout("plain", tuple(int(extent) for extent in shape), dtype)


def pack(layout: CudaLayout, array: np.ndarray) -> np.ndarray:
    """A constant in its layout, flat; padding is zero."""
    if layout.kind == "plain":
        return np.ascontiguousarray(array).reshape(-1)
    moved = np.moveaxis(array, layout.channel_axis, -1)
    out = np.zeros((*moved.shape[:-1], layout.stride), array.dtype)
    out[..., : layout.channels] = moved
    return out.reshape(-1)


def unpack(layout: CudaLayout, flat: np.ndarray) -> np.ndarray:
    """The logical tensor of a flat buffer."""
    if layout.kind == "plain":
        return flat[: layout.elements].reshape(layout.shape)
    order = [extent for axis, extent in enumerate(layout.shape) if axis != layout.channel_axis]
    rows = flat[: layout.elements].reshape(*order, layout.stride)[..., : layout.channels]
    return np.ascontiguousarray(np.moveaxis(rows, -1, layout.channel_axis))
