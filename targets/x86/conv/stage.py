"""The padded copy of a convolution's input: stage[phase][y][x] = data[y * stride + phase - pad], or the zero point
outside the image."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from tvm import tirx
from tvm.tirx.script import builder as T

from ...cpu.expressions import load_vector, splat, store_vector
from ..kernel import argument, task_loop
from ..layout import SLACK, STORED_OFFSET
from .problem import ConvProblem
from .walk import Stage, Walk

if TYPE_CHECKING:
    from .left_sums import Checked


def stage_elements(p: ConvProblem, walk: Walk) -> int:
    """Elements of the kernel's workspace; 0 where it reads its input directly."""
    if walk.stage is None:
        return 0
    return p.batch * (walk.stage.image(p.data_stride) + _unfolded(p, walk)) + SLACK


def _unfolded(p: ConvProblem, walk: Walk) -> int:
    """Elements of the padded image from which a folded one is made; it lies behind all of them."""
    stage = walk.stage
    assert stage is not None
    return 0 if stage.fold == 1 else (stage.height + stage.fold - 1) * stage.width * p.data_stride


def emit_stage(p: ConvProblem, walk: Walk, data: tirx.Buffer) -> tirx.Expr:
    """Declares the kernel's last argument, the workspace, and emits the copy into it (parallel over rows); returns the
    buffer to read from.

    The workspace comes from the caller's arena: TVM's own pool maps and unmaps pages on every run."""
    stage, channels = walk.stage, p.data_stride
    if stage is None:
        return data
    buffer = argument("stage", stage_elements(p, walk), data.dtype)
    if p.dtype == "bfloat16":  # What is read behind the image meets weights of zero, and 0 * NaN is NaN.
        _fill(buffer, stage_elements(p, walk) - SLACK, SLACK, 0)
    if stage.fold == 1:
        _pad(p, stage, walk.pitch != 0, data, buffer, 0)
        return buffer
    behind = p.batch * stage.image(channels)
    padded = Stage((1, 1), stage.height + stage.fold - 1, stage.width)
    _pad(p, padded, False, data, buffer, behind)
    _fold_rows(p, stage, padded, buffer, behind)
    return buffer


def _microseconds(p: "Checked | ConvProblem", stage: Stage) -> float:
    """A copy moves about 50 bytes a nanosecond within the caches."""
    return p.batch * stage.image(p.data_stride) / 5e4


def _pad(
    p: "Checked | ConvProblem", stage: Stage, split: bool, data: tirx.Buffer, buffer: tirx.Buffer, base: int
) -> None:
    """Copies the image with its padding. split: whether the planes are the phases of the stride (of one plane only,
    too)."""
    channels = p.data_stride
    fill = {"int8": p.data_zero_point + STORED_OFFSET, "float32": 0.0, "bfloat16": 0}[p.dtype]
    strides = p.strides if split else (1, 1)
    top, left = p.padding[:2]
    with task_loop(p.batch * stage.phases[0] * stage.height, _microseconds(p, stage)) as task:
        image, rest = (
            tirx.floordiv(task, stage.phases[0] * stage.height),
            tirx.floormod(task, stage.phases[0] * stage.height),
        )
        phase, y = tirx.floordiv(rest, stage.height), tirx.floormod(rest, stage.height)
        source_y = T.Bind(y * strides[0] + phase - top)
        for column_phase in range(stage.phases[1]):
            plane = (image * stage.phases[0] + phase) * stage.phases[1] + column_phase
            target = T.Bind(base + plane * stage.plane(channels) + y * stage.width * channels)
            first, last = _valid(p.width, stage.width, strides[1], column_phase - left)
            with T.If(tirx.all(source_y >= 0, source_y < p.height)):
                with T.Then():
                    _fill(buffer, target, first * channels, fill)
                    source = (image * p.height + source_y) * p.width * channels + (
                        first * strides[1] + column_phase - left
                    ) * channels
                    _copy_row(
                        buffer, target + first * channels, data, T.Bind(source), last - first, channels, strides[1]
                    )
                    _fill(buffer, target + last * channels, (stage.width - last) * channels, fill)
                with T.Else():
                    _fill(buffer, target, stage.width * channels, fill)


def _fold_rows(p: ConvProblem, stage: Stage, padded: Stage, buffer: tirx.Buffer, behind: int) -> None:
    """folded[y][x][f] = padded[y + f][x], 16 pixels of 4 bytes at a time (a row shorter than that: pixel by pixel)."""
    channels, fold = p.data_stride, stage.fold
    with task_loop(p.batch * stage.height, _microseconds(p, stage)) as task:
        image, y = tirx.floordiv(task, stage.height), tirx.floormod(task, stage.height)
        source = T.Bind(behind + (image * padded.height + y) * padded.width * channels)
        target = T.Bind(task * stage.width * channels * fold)
        if stage.width < 16:
            for x in range(stage.width):
                for f in range(fold):
                    store_vector(
                        buffer, target + (x * fold + f) * 4, load_vector(buffer, source + (f * padded.width + x) * 4, 4)
                    )
            return
        with T.serial(0, -(-stage.width // 16)) as i:
            x = T.Bind(tirx.min(i * 16, stage.width - 16))
            rows = [
                tirx.reinterpret("int32x16", load_vector(buffer, source + (f * padded.width + x) * 4, 64))
                for f in range(fold)
            ]
            for part, value in enumerate(_interleave([T.Bind(row) for row in rows])):
                store_vector(buffer, target + x * 4 * fold + part * 64, tirx.reinterpret("uint8x64", value))


def _interleave(rows: list[tirx.Expr]) -> list[tirx.Expr]:
    """[a0 .. a15], [b0 .. b15], ... -> a0 b0 .. a1 b1 .. in as many vectors."""
    if len(rows) == 1:
        return rows
    half = len(rows) // 2
    even, odd = _interleave(rows[::2]), _interleave(rows[1::2])
    found = []
    for a, b in zip(even, odd):
        for start in (0, 8):
            found.append(T.Bind(tirx.Shuffle([a, b], [start + i // 2 + 16 * (i % 2) for i in range(16)])))
    assert len(found) == 2 * half
    return found


def _valid(width: int, staged: int, stride: int, shift: int) -> tuple[int, int]:
    """The staged columns [first, last) whose source column x * stride + shift lies inside the image."""
    inside = [x for x in range(staged) if 0 <= x * stride + shift < width]
    return (inside[0], inside[-1] + 1) if inside else (0, 0)


def _copy_row(
    target: tirx.Buffer,
    at: tirx.Expr,
    source: tirx.Buffer,
    start: tirx.Expr,
    pixels: int,
    channels: int,
    stride: int,
) -> None:
    if pixels == 0:
        return
    if stride == 1:
        _each_vector(
            pixels * channels,
            _lanes(source),
            lambda i, lanes: store_vector(target, at + i, load_vector(source, start + i, lanes)),
        )
        return
    with T.serial(0, pixels) as x:
        _each_vector(
            channels,
            _lanes(source),
            lambda i, lanes: store_vector(
                target, at + x * channels + i, load_vector(source, start + x * (stride * channels) + i, lanes)
            ),
        )


def _fill(target: tirx.Buffer, at: tirx.Expr | int, length: int, value: float) -> None:
    if length > 0:
        _each_vector(
            length, _lanes(target), lambda i, lanes: store_vector(target, at + i, splat(value, target.dtype, lanes))
        )


def _lanes(buffer: tirx.Expr) -> int:
    return 64 // np.dtype(buffer.dtype).itemsize


def _each_vector(length: int, lanes: int, body: Callable[[tirx.Expr | int, int], None]) -> None:
    """body(index, lanes) over [0, length): full vectors in a loop, then halves. `length` is a multiple of 4."""
    full = length // lanes
    if full > 1:
        with T.serial(0, full) as i:
            body(i * lanes, lanes)
    elif full == 1:
        body(0, lanes)
    done = full * lanes
    while done < length:
        while lanes > length - done:
            lanes //= 2
        body(done, lanes)
        done += lanes
