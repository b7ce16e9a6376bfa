"""Operators that copy whole pixels of packed tensors, or a range of their channels.

Slices, padding, interleaving, flips, pixels out of channels and nearest resizes are one kernel: every pixel of the
result names the pixel that it copies, by one table of coordinates per axis, or takes a fill value."""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

import numpy as np
from tvm.tirx.script import builder as T

from ...cpu.expressions import bind, load_vector, splat, store_vector
from ..kernel import built_once, emit_kernel
from ..layout import SLACK, Layout
from ..vector import BYTES, LANES, store_bytes
from ..vector_loops import each, steps, tensors

if TYPE_CHECKING:
    from tvm import tirx

FILL = -1  # A pixel that is filled has this coordinate.


def pixel_axes(layout: Layout) -> tuple[int, int, int]:
    """A packed tensor as images x rows x columns of channel vectors."""
    if layout.kind == "nhwc":
        return layout.shape[0], layout.shape[2], layout.shape[3]
    return (layout.shape[0], layout.shape[1], 1) if len(layout.shape) == 3 else (1, layout.shape[0], 1)


def channel_axis(layout: Layout) -> int:
    """The axis of the logical tensor that lies innermost."""
    return 1 if layout.kind == "nhwc" else len(layout.shape) - 1


@dataclass(frozen=True)
class GatherProblem:
    """y[n, i, j, c] = x[images[n], rows[i], columns[j], c + first_channel], or fill where a coordinate is FILL.

    fill: a value as stored (uint8 or float32), or one per channel. depth: (rows, columns) of pixels that lie in the
    channels of each pixel of x, phase by phase; coordinates count them."""

    source: Layout
    target: Layout
    images: tuple[int, ...]
    rows: tuple[int, ...]
    columns: tuple[int, ...]
    first_channel: int = 0
    fill: float | tuple[float, ...] = 0
    depth: tuple[int, int] = (1, 1)

    def __post_init__(self) -> None:
        assert (len(self.images), len(self.rows), len(self.columns)) == pixel_axes(self.target), self
        assert self.first_channel + self.target.channels * prod(self.depth) <= self.source.channels, self

    @property
    def tables(self) -> list[np.ndarray]:
        """The constants of the kernel: offsets of rows, and of columns, in elements; negative for FILL. Then a row of
        fill values, where they differ by channel."""
        _, height, width = pixel_axes(self.source)
        stride, channels, (down, across) = self.source.channel_stride, self.target.channels, self.depth

        def row(n: int, i: int) -> int:
            return (n * height + i // down) * width * stride + i % down * across * channels + self.first_channel

        def column(j: int) -> int:
            return j // across * stride + j % across * channels

        rows = [FILL if FILL in (n, i) else row(n, i) for n in self.images for i in self.rows]
        columns = [FILL if j == FILL else column(j) for j in self.columns]
        tables = [np.array(rows, "int32"), np.array(columns, "int32")]
        if not isinstance(self.fill, tuple):
            return tables
        pixel = np.zeros(self.target.channel_stride, self.target.storage)
        pixel[: self.target.channels] = self.fill
        return [*tables, np.resize(pixel, self._border.elements)]

    @property
    def _border(self) -> Layout:
        """Of a row of fill values; a copy may read a vector behind it."""
        return Layout("plain", (len(self.columns) * self.target.channel_stride + SLACK,), self.target.dtype)

    @property
    def run(self) -> tuple[int, int, int, int] | None:
        """(pixels filled, first pixel copied, how many, pixels filled) where the copied ones of a row lie together on
        both sides."""
        kept = [j for j in self.columns if j != FILL]
        alike = self.target.channel_stride == self.source.channel_stride
        if not alike or self.depth != (1, 1) or self.first_channel or not kept:
            return None
        before = next(i for i, j in enumerate(self.columns) if j != FILL)
        behind = len(self.columns) - before - len(kept)
        together = (FILL,) * before + tuple(range(kept[0], kept[0] + len(kept))) + (FILL,) * behind == self.columns
        return (before, kept[0], len(kept), behind) if together else None


@built_once
def gather(p: GatherProblem) -> "tirx.PrimFunc":
    """The kernel (x, rows, columns, [border,] y) that takes pixels of an image by their places."""
    stride, size = p.target.channel_stride, np.dtype(p.target.storage).itemsize
    rows, columns = len(p.images) * len(p.rows), len(p.columns)
    filled, run = any(FILL in axis for axis in (p.images, p.rows)), p.run

    def body() -> None:
        constants = {"rows": Layout("plain", (rows,), "int32"), "columns": Layout("plain", (columns,), "int32")}
        if isinstance(p.fill, tuple):
            constants["border"] = p._border
        x, row_table, column_table, *border, y = tensors(x=p.source, **constants, y=p.target)

        def blank(target: "tirx.Expr", count: int) -> None:
            if border and count:
                copy_elements(y, target, border[0], 0, count)
            elif count:
                assert not isinstance(p.fill, tuple)  # A pixel that may have one of several fillers is copied.
                fill_elements(y, target, count, p.fill)

        def line(source: "tirx.Expr", target: "tirx.Expr") -> None:
            assert run is not None, p
            before, first, count, behind = (pixels * stride for pixels in run)
            blank(target, before)
            copy_elements(y, target + before, x, source + first, count)
            blank(target + before + count, behind)

        def pixels(source: "tirx.Expr", target: "tirx.Expr") -> None:
            with T.serial(0, columns) as j:
                column = bind(column_table[j])
                _either(
                    FILL in p.columns,
                    column,
                    lambda: copy_elements(y, target + j * stride, x, source + column, stride),
                    lambda: blank(target + j * stride, stride),
                )

        with each(rows, 2 * size * rows * columns * stride) as row:
            source, target = bind(row_table[row]), bind(row * (columns * stride))
            _either(
                filled,
                source,
                lambda: (pixels if run is None else line)(source, target),
                lambda: blank(target, columns * stride),
            )

    return emit_kernel(f"gather_{p.target.dtype}_" + "x".join(map(str, (*p.source.shape, *p.target.shape))), body)


def _either(both: bool, offset: "tirx.Expr", present: Callable[[], object], absent: Callable[[], object]) -> None:
    if not both:
        present()
        return
    with T.If(offset >= 0):
        with T.Then():
            present()
        with T.Else():
            absent()


def copy_elements(
    y: "tirx.Buffer", target: "tirx.Expr | int", x: "tirx.Buffer", source: "tirx.Expr | int", count: int
) -> None:
    """Emits a copy of `count` elements (a multiple of 4), which may read one vector behind them."""
    if x.dtype == "uint8":
        steps(
            count, BYTES, lambda at, size: store_bytes(y, target + at, bind(load_vector(x, source + at, BYTES)), size)
        )
    else:
        steps(count, LANES, lambda at, size: store_vector(y, target + at, load_vector(x, source + at, size)))


def fill_elements(y: "tirx.Buffer", target: "tirx.Expr | int", count: int, value: float) -> None:
    """`count` elements (a multiple of 4) of `value`."""
    lanes = BYTES if y.dtype == "uint8" else LANES
    constant = int(value) if y.dtype == "uint8" else float(value)
    write = store_bytes if y.dtype == "uint8" else (lambda buffer, at, vector, size: store_vector(buffer, at, vector))
    steps(count, lanes, lambda at, size: write(y, target + at, splat(constant, y.dtype, lanes), size))


def clear_padding(y: "tirx.Buffer", pixel: "tirx.Expr", layout: Layout) -> None:
    """Writes zeros where a float pixel may end in padding, before its channels are written. What lies there is never
    used but computed with, and bytes of another tensor are denormal numbers, each of which costs a processor a hundred
    cycles."""
    if layout.dtype == "float32" and layout.channels % LANES:
        store_vector(y, pixel + (layout.channel_stride - LANES), splat(0.0, "float32", LANES))


@dataclass(frozen=True)
class ConcatProblem:
    """Packed tensors joined along an axis. sources: packed layouts that differ along `axis` of the logical shape
    only."""

    sources: tuple[Layout, ...]
    axis: int

    @property
    def target(self) -> Layout:
        """The layout of the result: that of the sources, with the sum of their extents along the axis."""
        shape = list(self.sources[0].shape)
        shape[self.axis] = sum(source.shape[self.axis] for source in self.sources)
        return Layout(self.sources[0].kind, tuple(shape), self.sources[0].dtype)

    @property
    def blocks(self) -> tuple[int, list[int]]:
        """(how often, how many elements of each source): the result is that many times a block of each source in
        turn."""
        layout, first = self.target, self.sources[0]
        if self.axis == channel_axis(layout):
            return layout.pixels, [source.channels for source in self.sources]
        axes = [0, 2, 3] if layout.kind == "nhwc" else list(range(len(layout.shape) - 1))
        outer = axes[: axes.index(self.axis)]
        inner = axes[axes.index(self.axis) + 1 :]
        size = prod(first.shape[axis] for axis in inner) * first.channel_stride
        return prod(first.shape[axis] for axis in outer), [source.shape[self.axis] * size for source in self.sources]


@built_once
def concat(p: ConcatProblem) -> "tirx.PrimFunc":
    """The kernel (x0, x1, ..., y) that puts tensors side by side."""
    target = p.target
    count, sizes = p.blocks
    channels = p.axis == channel_axis(target)
    steps_in = [source.channel_stride if channels else size for source, size in zip(p.sources, sizes)]
    step_out = target.channel_stride if channels else sum(sizes)

    def body() -> None:
        *xs, y = tensors(**{f"x{i}": source for i, source in enumerate(p.sources)}, y=target)
        with each(count, 2 * target.elements * np.dtype(target.storage).itemsize) as block:
            if channels:
                clear_padding(y, bind(block * step_out), target)
            offset = 0
            for x, size, step in zip(xs, sizes, steps_in):
                _section(y, bind(block * step_out + offset), x, bind(block * step), size, step_out - offset)
                offset += size

    return emit_kernel(f"concat_{target.dtype}_{len(p.sources)}_" + "x".join(map(str, target.shape)), body)


def _section(
    y: "tirx.Buffer", target: "tirx.Expr", x: "tirx.Buffer", source: "tirx.Expr", count: int, room: int
) -> None:
    """`count` elements, any number. What lies behind them, up to `room`, is written later (or is padding), so the last
    vector may be too long."""
    lanes = BYTES if x.dtype == "uint8" else LANES
    full = count // lanes
    if full > 4:
        with T.serial(0, full) as i:
            store_vector(y, target + i * lanes, load_vector(x, source + i * lanes, lanes))
    else:
        for j in range(full):
            store_vector(y, target + j * lanes, load_vector(x, source + j * lanes, lanes))
    done = full * lanes
    while done < count:
        size = lanes
        while size > 1 and (size > room - done or size // 2 >= count - done):
            size //= 2
        store_vector(y, target + done, load_vector(x, source + done, size))
        done += size
