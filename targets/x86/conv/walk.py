"""How a convolution kernel walks over its input: which pixels form a line of constant stride, and which runs of memory
each pixel reads.

A kernel computes, for every image, row and pixel,

    out[pixel] = sum over runs r, k < r.length: source[base + pixel * pixel_stride + r.offset + k] * w[..]

Three walks cover everything:
* flat:   a 1 x 1 convolution without stride and padding is a matrix product over all pixels of the batch;
* rows:   a line is one row of the output; needs a padded copy of the input only where there is padding;
* phases: the input is copied (with padding) into stride_h * stride_w planes, in which every tap has stride 1; then a
          line is a whole image, a few computed pixels at each row's end fall off. Better than `rows` when a row is
          short for the tile of the matrix unit.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ...bfloat16 import FEW
from .problem import ConvProblem

if TYPE_CHECKING:
    from .left_sums import Checked


@dataclass(frozen=True)
class Tap:
    """Kernel position (row, column) and the offset of its first channel from the pixel's base, in elements. A row
    behind the kernel has weight zero."""

    offset: int
    row: int
    column: int


@dataclass(frozen=True)
class Run:
    """Taps that lie behind each other in memory; `length` elements, the first at `offset`."""

    offset: int
    length: int
    taps: tuple[Tap, ...]


@dataclass(frozen=True)
class Stage:
    """The padded (and de-interleaved) copy of the input: planes[row phase][column
    phase][height][width][fold][channels].

    fold: pixel (y, x) holds the rows y, y + 1, ..., y + fold - 1 of column x side by side, so that a first layer of
    three channels fills its dot products."""

    phases: tuple[int, int]
    height: int
    width: int
    fold: int = 1

    def plane(self, channels: int) -> int:
        """How many elements a staged plane has."""
        return self.height * self.width * channels * self.fold

    def image(self, channels: int) -> int:
        """Elements of all planes of an image."""
        return self.phases[0] * self.phases[1] * self.plane(channels)


@dataclass(frozen=True)
class Walk:
    """Strides in elements of the source (the input itself, or its stage)."""

    images: int
    rows: int
    pixels: int
    image_stride: int
    row_stride: int
    pixel_stride: int
    # The unit is pixels: how far the output's rows are apart in a line of several; 0 if every pixel of a line is kept.
    pitch: int
    runs: tuple[Run, ...]
    span: int  # The unit is channels: what one block of output channels reads.
    stage: Stage | None


def channel_span(p: ConvProblem, block: int) -> tuple[int, int, int]:
    """(span, a, b): the output channels [i * block, (i+1) * block) read input channels from (i // a) * b, `span` of
    them."""
    if p.groups == 1:
        return p.channels if p.dtype == "float32" else p.data_stride, 1, 0
    ins, outs = p.channels // p.groups, p.out_channels // p.groups
    if outs % block == 0:
        return ins, outs // block, ins
    if block % outs == 0:
        return min(block // outs * ins, p.channels), 1, block // outs * ins
    return p.channels, 1, 0


def plan_walk(p: ConvProblem, block: int, tile: int, allow_phases: bool, step: int = 0) -> Walk:
    """How a kernel walks over the image. block: output channels of one kernel block. tile: pixels of one tile of the
    kernel. step: elements of one dot-product step, if rows may be folded to fill it."""
    span = channel_span(p, block)[0]
    (kh, kw), (sh, sw), channels = p.kernel, p.strides, p.data_stride
    padded = any(p.padding)
    if (kh, kw, sh, sw) == (1, 1, 1, 1) and not padded:
        pixels = p.batch * p.height * p.width
        return Walk(1, 1, pixels, 0, 0, channels, 0, (Run(0, span, (Tap(0, 0, 0),)),), span, None)
    full_height, full_width = p.height + p.padding[0] + p.padding[2], p.width + p.padding[1] + p.padding[3]
    fold = _fold(p, step)
    if fold > 1:
        return _folded(p, span, full_width, fold)
    pitch = -(-full_width // sw) if (kh, kw) != (1, 1) else p.out_width
    # The columns of a kernel row make up blocks, so they must lie behind each other, with numbers behind the last.
    few = p.dtype == "bfloat16" and channels == FEW
    if allow_phases and not few and p.out_width / pitch > p.out_width / (-(-p.out_width // tile) * tile):
        return _phases(p, span, full_height, pitch)
    stage = Stage((1, 1), full_height, full_width) if padded or few else None
    height, width = (full_height, full_width) if padded else (p.height, p.width)
    taps = _taps(p, lambda i, j: (i * width + j) * channels)
    return Walk(
        p.batch,
        p.out_height,
        p.out_width,
        height * width * channels,
        sh * width * channels,
        sw * channels,
        0,
        _merge(taps, span, channels, few),
        span,
        stage,
    )


def _phases(p: "Checked | ConvProblem", span: int, full_height: int, pitch: int) -> Walk:
    (sh, sw), channels = p.strides, p.data_stride
    phases = (sh if p.kernel[0] > 1 else 1, sw if p.kernel[1] > 1 else 1)
    height = -(-full_height // sh)
    single = (1, 1) == p.strides
    stage = None if single and not any(p.padding) else Stage(phases, height, pitch)
    plane = height * pitch * channels
    taps = _taps(p, lambda i, j: (i % sh * phases[1] + j % sw) * plane + (i // sh * pitch + j // sw) * channels)
    image = stage.image(channels) if stage is not None else p.height * p.width * channels
    pixels = (p.out_height - 1) * pitch + p.out_width
    return Walk(p.batch, 1, pixels, image, 0, channels, pitch, _merge(taps, span, channels), span, stage)


def _fold(p: "Checked | ConvProblem", step: int) -> int:
    """How many kernel rows to put side by side: what needs the fewest steps."""
    kh, kw = p.kernel
    if step == 0 or p.dtype != "int8" or p.data_stride != 4 or p.groups != 1 or p.dilation != (1, 1):
        return 1
    return min((1, 2, 4), key=lambda fold: (-(-kh // fold) * -(-kw * 4 * fold // step), fold))


def _folded(p: ConvProblem, span: int, full_width: int, fold: int) -> Walk:
    (sh, sw), channels = p.strides, p.data_stride * fold
    height = (p.out_height - 1) * sh + (p.kernel[0] - 1) // fold * fold + 1
    stage = Stage((1, 1), height, full_width, fold)
    # Rows that only fill up the last group of `fold` are taps too, with weight zero, so that its run has no gaps.
    whole = replace(p, kernel=(-(-p.kernel[0] // fold) * fold, p.kernel[1]))
    taps = _taps(whole, lambda i, j: (i // fold * fold * full_width + j) * channels + i % fold * p.data_stride)
    return Walk(
        p.batch,
        p.out_height,
        p.out_width,
        stage.image(p.data_stride),
        sh * full_width * channels,
        sw * channels,
        0,
        _merge(taps, span, p.data_stride),
        span,
        stage,
    )


def _taps(p: "Checked | ConvProblem", offset: Callable[[int, int], int]) -> list[Tap]:
    """The taps of the kernel by their place in memory, so that neighbours can be merged; of bfloat16, whose sums have
    an order, by row and column."""
    dh, dw = p.dilation
    taps = [Tap(offset(i * dh, j * dw), i, j) for i in range(p.kernel[0]) for j in range(p.kernel[1])]
    return taps if p.dtype == "bfloat16" else sorted(taps, key=lambda t: t.offset)


def _merge(taps: list[Tap], span: int, channels: int, few: bool = False) -> tuple[Run, ...]:
    """Neighbouring taps whose channels follow each other in memory become one run. few: only within a row of the
    kernel."""
    runs: list[Run] = []
    for tap in taps:
        if (
            runs
            and span == channels
            and runs[-1].offset + runs[-1].length == tap.offset
            and not (few and runs[-1].taps[-1].row != tap.row)
        ):
            last = runs.pop()
            runs.append(Run(last.offset, last.length + span, last.taps + (tap,)))
        else:
            runs.append(Run(tap.offset, span, (tap,)))
    return tuple(runs)
