"""Kernels that move elements: reformats, transposes, slices, concatenations, padding; and quantize / dequantize, which
move and convert."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from ..kernel import CudaKernel, bits, blocks, literal
from ..layout import CudaLayout, Strided
from . import functions

AXES = 6


@dataclass(frozen=True)
class Move:
    """The parameters of the movement in device/movement.cuh: element i of `extent` goes from `start` + sum(i // divisor
    * from_step) to `to` + sum(i * to_step), in elements."""

    extent: tuple[int, ...]
    start: int
    from_step: tuple[int, ...]
    from_divisor: tuple[int, ...]
    to: int
    to_step: tuple[int, ...]


def region(
    extent: tuple[int, ...],
    start: int,
    from_step: Sequence[int],
    to: int,
    to_step: Sequence[int],
    divisor: Sequence[int] | None = None,
) -> Move:
    """A Move of fewer axes; the innermost axis of the result is put last, so that neighbouring threads write
    neighbouring elements."""
    axes = sorted(range(len(extent)), key=lambda axis: -abs(to_step[axis]) if extent[axis] > 1 else -(2**62))
    divisor = (1,) * len(extent) if divisor is None else divisor
    pad = AXES - len(axes)
    assert pad >= 0, f"a movement over {len(extent)} axes"
    ordered = [tuple(int(values[axis]) for axis in axes) for values in (extent, from_step, divisor, to_step)]
    extent, from_step, divisor, to_step = (
        (first,) * pad + values for first, values in zip((1, 0, 1, 0), ordered, strict=True)
    )
    return Move(extent, int(start), from_step, divisor, int(to), to_step)


def copy(source: CudaLayout | Strided, target: CudaLayout) -> Move:
    """The movement that writes a logical tensor in another layout."""
    assert source.shape == target.shape, (source, target)
    return region(source.shape, 0, source.steps, 0, target.steps)


def move(problem: Move, itemsize: int) -> CudaKernel:
    """The kernel; runs of 16 or 4 bytes are moved at once."""
    types = {16: "uint4", 8: "long", 4: "unsigned", 1: "signed char"}
    for width in (width for width in types if width >= itemsize):
        wide = _widened(problem, width // itemsize)
        if wide is not None:
            return CudaKernel(
                "move", "movement.cuh", f"move<{literal(wide)}, {types[width]}>", 2, blocks(prod(wide.extent), 128), 128
            )
    raise AssertionError(f"no element of {itemsize} bytes")


def _widened(problem: Move, factor: int) -> Move | None:
    """The same movement in units of `factor` elements, or None where they do not lie together."""
    if factor == 1:
        return problem
    last = AXES - 1
    if (
        problem.from_step[last] != 1
        or problem.to_step[last] != 1
        or problem.from_divisor[last] != 1
        or problem.extent[last] % factor
    ):
        return None
    moved = [problem.start, problem.to] + [
        step for steps in (problem.from_step[:last], problem.to_step[:last]) for step in steps
    ]
    if any(value % factor for value in moved):
        return None
    narrow = {
        name: tuple(step // factor for step in getattr(problem, name)[:last]) + (1,)
        for name in ("from_step", "to_step")
    }
    return replace(
        problem,
        extent=(*problem.extent[:last], problem.extent[last] // factor),
        start=problem.start // factor,
        to=problem.to // factor,
        **narrow,
    )


@dataclass(frozen=True)
class Turn:
    """The parameters of the turn in device/movement.cuh: columns of a batch of matrices become rows of `padded` bytes.
    batch: (outer times) inner matrices."""

    batch: int
    inner: int
    columns: int
    depth: int
    padded: int
    outer_step: int
    inner_step: int
    column_step: int
    depth_step: int


def turn(problem: Turn) -> CudaKernel:
    """The kernel that makes rows of a matrix's columns. Operands: data, result."""
    return CudaKernel(
        "turn",
        "movement.cuh",
        f"turn<{literal(problem)}>",
        2,
        blocks(problem.batch * problem.columns * problem.padded // 4, 128),
        128,
    )


@dataclass(frozen=True)
class ColumnSums:
    """The parameters of the sums in device/movement.cuh: of a batch of matrices, (outer times) inner, whose columns lie
    as rows of bytes."""

    batch: int
    inner: int
    columns: int
    depth: int
    padded: int
    zero_point: int
    start: int
    outer_step: int
    inner_step: int
    column_pitch: int


def column_sums(problem: ColumnSums) -> CudaKernel:
    """The kernel that adds up columns. Operands: data, sums (int32)."""
    return CudaKernel(
        "column_sums",
        "movement.cuh",
        f"column_sums<{literal(problem)}>",
        2,
        blocks(problem.batch * problem.padded, 128),
        128,
    )


def fill(layout: CudaLayout, value: int) -> CudaKernel:
    """The kernel that writes one value to every byte of a buffer."""
    call = f"fill<{layout.bytes}L, {int(value)}>"
    return CudaKernel("fill", "movement.cuh", call, 1, blocks(-(-layout.bytes // 4), 128), 128)


def quantize(source: CudaLayout | Strided, target: CudaLayout, scale: np.float32, zero_point: int) -> CudaKernel:
    """A float32 tensor that becomes codes in another layout. Operands: data, result."""
    codes, shape = functions.codes_by(scale, zero_point), source.shape
    if source.kind == "plain" and len(shape) == 4 and target.kind == "packed" and target.stride == 4:
        plane = shape[2] * shape[3]
        if plane % 4 == 0 and prod(shape) < 2**31:
            call = f"quantize_pixels<{shape[0]}, {shape[1]}, {plane}, {literal(codes)}>"
            return CudaKernel("quantize", "movement.cuh", call, 2, blocks(shape[0] * plane // 4, 128), 128)
    problem = copy(source, target)
    wide = _widened(problem, 4)
    moved, each = (problem, 1) if wide is None else (wide, 4)
    call = f"quantize<{literal(moved)}, {literal(codes)}, {each}>"
    return CudaKernel("quantize", "movement.cuh", call, 2, blocks(prod(moved.extent), 128), 128)


def dequantize(problem: Move, scale: np.float32, zero_point: int) -> CudaKernel:
    """A movement of codes that becomes float32. Operands: data, result."""
    call = f"dequantize_codes<{literal(problem)}, {bits(float(scale))}, {zero_point}>"
    return CudaKernel("dequantize", "movement.cuh", call, 2, blocks(prod(problem.extent), 128), 128)
