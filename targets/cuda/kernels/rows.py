"""Softmax and layer normalisation of rows with the quantize and dequantize around them."""

from dataclasses import dataclass

import numpy as np

from ..kernel import CudaKernel, blocks, literal
from . import functions

_SHARED = 48 << 10  # A block may use this much shared memory, in bytes, without asking the driver.
_KEPT = 96  # So many elements of a row a lane keeps in registers.
_BLOCKS = 128  # Every multiprocessor of a large device gets one of these blocks.


@dataclass(frozen=True)
class SoftmaxRows:
    """The parameters of the softmax in device/rows.cuh, field by field. scale: a float32 value."""

    rows: int
    columns: int
    stride: int
    scaled: bool
    masked: bool
    scale: float
    codes: functions.ByteCodes
    extent: tuple[int, int]
    mask_step: tuple[int, int, int]


@dataclass(frozen=True)
class NormRows:
    """The parameters of the normalisation in device/norm.cuh, field by field. Scale and epsilon: float32
    values."""

    rows: int
    columns: int
    stride: int
    out_stride: int
    together: int
    lanes: int
    pitch: int
    from_codes: bool
    to_codes: bool
    scaled: bool
    centred: bool
    about_mean: bool
    zero_point: int
    scale: float
    epsilon: float
    codes: functions.ByteCodes


@dataclass(frozen=True)
class NormProblem:
    """A layer normalisation of rows. stride, out_stride: elements from row to row. source, target: (scale, zero point)
    of an int8 operand or result, None for float32. scaled, centred: whether gamma and beta are applied. about_mean:
    whether the mean is taken off first; RMS normalisation does not."""

    rows: int
    columns: int
    stride: int
    out_stride: int
    source: tuple[float, int] | None
    target: tuple[float, int] | None
    scaled: bool
    centred: bool
    epsilon: float
    about_mean: bool = True


def softmax_rows(problem: SoftmaxRows) -> CudaKernel:
    """The kernel of a softmax of rows. Operands: scores, mask (or the scores again), result."""
    exponential, text = functions.softmax_exponential()
    return CudaKernel(
        "softmax_rows",
        "rows.cuh",
        f"softmax_rows<{literal(problem)}, {exponential}>",
        3,
        blocks(16 * problem.rows, 128),
        128,
        prelude=(text,),
    )


def norm_rows(problem: NormProblem) -> CudaKernel:
    """The kernel of a normalisation of rows. Operands: data, gamma, beta, result."""
    lanes = _lanes_of_a_row(problem)
    block = 32 if lanes and problem.rows * lanes < 128 * 2 * _BLOCKS else 128
    together, pitch = (block // lanes, _byte_pitch(problem.columns)) if lanes else _rows_of_a_block(problem)
    scale, zero_point = problem.source or (0.0, 0)
    out_scale, out_zero_point = problem.target or (1.0, 0)
    instance = NormRows(
        rows=problem.rows,
        columns=problem.columns,
        stride=problem.stride,
        out_stride=problem.out_stride,
        together=together,
        lanes=lanes,
        pitch=pitch,
        from_codes=problem.source is not None,
        to_codes=problem.target is not None,
        scaled=problem.scaled,
        centred=problem.centred,
        about_mean=problem.about_mean,
        zero_point=zero_point,
        scale=float(scale),
        epsilon=problem.epsilon,
        codes=functions.codes_by(np.float32(out_scale), out_zero_point),
    )
    return CudaKernel(
        "layer_norm_rows",
        "norm.cuh",
        f"norm_{'kept_' if lanes else ''}rows<{literal(instance)}>",
        4,
        blocks(problem.rows, together),
        block,
        shared=together * pitch if lanes else 4 * together * (pitch + 2),
        resident=12 * 32 // block if lanes else 1,  # This leaves 168 registers for a thread.
    )


def _lanes_of_a_row(problem: NormProblem) -> int:
    """How many lanes of a warp share a row that stays in registers; 0 where it is too long. Fewer of them load and
    store more at a time, where enough warps are left."""
    if problem.columns > 16 * _KEPT:
        return 0
    whole = problem.columns % 16 == 0 and problem.stride % 16 == 0 and problem.out_stride % 16 == 0
    lanes = 16
    while (
        whole and lanes > 4 and problem.columns // lanes * 2 <= _KEPT and problem.rows * lanes // 2 >= 32 * 6 * _BLOCKS
    ):
        lanes //= 2
    return lanes


def _byte_pitch(columns: int) -> int:
    """Bytes from row to row of codes: an odd number of granules spreads them over the banks."""
    return 16 * (-(-columns // 16) | 1)


def _rows_of_a_block(problem: NormProblem) -> tuple[int, int]:
    """(rows, float32 elements from row to row in shared memory): rows side by side hide each other's sums, where enough
    blocks are left."""
    pitch = problem.columns + (16 - problem.columns) % 32  # Two rows of a warp lie in different banks.
    if 4 * (pitch + 2) > _SHARED:
        return 1, 0
    together = 8
    while together > 1 and (problem.rows < _BLOCKS * together or 4 * together * (pitch + 2) > _SHARED):
        together //= 2
    return together, pitch
