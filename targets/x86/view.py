"""Tensors that lie strided in somebody else's buffer: a reshape or a transpose that moves nothing until somebody needs
another layout."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from .layout import SLACK, STORAGE, Layout, channel_stride, packed


@dataclass(frozen=True)
class View:
    """Element (i, j, ..) is at offset + i * strides[0] + j * strides[1] + .. of a buffer of `physical_shape`. dtype:
    logical, e.g. "int8".

    padded: elements behind the last one that may be read (SLACK of a packed buffer; 0 of a plain tensor)."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int
    dtype: str
    physical_shape: tuple[int, ...]
    padded: int
    kind: str = "view"

    @property
    def storage(self) -> str:
        """The dtype of the buffer."""
        return STORAGE.get(self.dtype, self.dtype)

    @property
    def elements(self) -> int:
        """Elements of the buffer."""
        return prod(self.physical_shape)


def view_of(layout: Layout | View) -> View:
    """The view of a tensor of that layout, with its strides spelled out."""
    if isinstance(layout, View):
        return layout
    shape, stride = layout.shape, layout.channel_stride if layout.kind != "plain" and layout.shape else 1
    if layout.kind == "plain":
        strides = contiguous(shape)
    elif layout.kind == "rows":
        strides = (*(step * stride for step in contiguous(shape[:-1])), 1)
    else:
        _, _, h, w = shape
        strides = (h * w * stride, 1, w * stride, stride)
    return View(
        shape,
        strides,
        0,
        layout.dtype,
        layout.physical_shape,
        0 if layout.kind == "plain" else layout.elements - layout.pixels * stride,
    )


def rows_view(shape: tuple[int, ...], dtype: str) -> View:
    """The view of a tensor whose last axis is contiguous and padded to whole vectors, with slack behind it."""
    stride = channel_stride(shape[-1], dtype)
    strides = (*(step * stride for step in contiguous(shape[:-1])), 1)
    return View(shape, strides, 0, dtype, (prod(shape[:-1]) * stride + SLACK,), SLACK)


def contiguous(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The strides of a row-major tensor of that shape."""
    return tuple(prod(shape[axis + 1 :]) for axis in range(len(shape)))


def transposed(view: View, axes: Sequence[int]) -> View:
    """The view with its axes in another order, on the same elements."""
    return _with(
        view, tuple(view.shape[axis] for axis in axes), tuple(view.strides[axis] for axis in axes), view.offset
    )


def sliced(view: View, starts: Sequence[int], shape: tuple[int, ...]) -> View:
    """The block that begins at `starts`, one per axis."""
    return _with(
        view,
        tuple(shape),
        view.strides,
        view.offset + sum(start * stride for start, stride in zip(starts, view.strides)),
    )


def reshaped(view: View, shape: tuple[int, ...]) -> View | None:
    """The view with another shape; None where that would need a copy."""
    kept = [(extent, stride) for extent, stride in zip(view.shape, view.strides) if extent != 1]
    wanted, strides, at = list(shape), [0] * len(shape), 0
    axis = 0
    while axis < len(wanted):
        if wanted[axis] == 1:
            axis += 1
            continue
        if at == len(kept):
            return None
        first, extent, target, last = at, kept[at][0], wanted[axis], axis
        while extent != target:  # Axes on either side are gathered until both hold the same number of elements.
            if extent < target:
                at += 1
                if at == len(kept):
                    return None
                extent *= kept[at][0]
            else:
                last += 1
                if last == len(wanted):
                    return None
                target *= wanted[last]
        if any(kept[i][1] != kept[i + 1][0] * kept[i + 1][1] for i in range(first, at)):
            return None
        step = kept[at][1]
        for i in range(last, axis - 1, -1):
            strides[i] = step
            step *= wanted[i]
        at, axis = at + 1, last + 1
    return _with(view, tuple(wanted), tuple(strides), view.offset)


def as_layout(view: View) -> Layout | None:
    """The packed layout that the view is, if it is one (axes of extent 1 may have any stride)."""
    layout = packed(view.shape, view.dtype)
    if layout is None or view.offset != 0 or layout.physical_shape != view.physical_shape:
        return None
    own = view_of(layout)
    same = all(a == b for a, b, extent in zip(own.strides, view.strides, view.shape) if extent != 1)
    return layout if same else None


def _with(view: View, shape: tuple[int, ...], strides: tuple[int, ...], offset: int) -> View:
    return View(shape, strides, offset, view.dtype, view.physical_shape, view.padded)
