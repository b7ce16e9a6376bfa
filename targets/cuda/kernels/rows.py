"""Softmax and layer normalisation of rows with the quantize and dequantize around them."""

from dataclasses import dataclass

from ..kernel import Kernel, blocks, literal
from . import functions


@dataclass(frozen=True)
class SoftmaxRows:
    """As in device/rows.cuh. scale, probability: float32 values."""

    rows: int
    columns: int
    stride: int
    scaled: bool
    masked: bool
    scale: float
    probability: float
    extent: tuple[int, int]
    mask_step: tuple[int, int, int]


@dataclass(frozen=True)
class NormRows:
    """As in device/rows.cuh. Scales and epsilon: float32 values."""

    rows: int
    columns: int
    stride: int
    out_stride: int
    from_codes: bool
    to_codes: bool
    scaled: bool
    centred: bool
    zero_point: int
    out_zero_point: int
    scale: float
    out_scale: float
    epsilon: float


def softmax_rows(problem: SoftmaxRows) -> Kernel:
    """Operands: scores, mask (or the scores again), result."""
    exponential, text = functions.function("exp", {})
    return Kernel("softmax_rows", "rows.cuh", f"softmax_rows<{literal(problem)}, {exponential}>", 3, blocks(16 * problem.rows, 128), 128, prelude=(text,))


def norm_rows(problem: NormRows) -> Kernel:
    """Operands: data, gamma, beta, result."""
    return Kernel("layer_norm_rows", "rows.cuh", f"norm_rows<{literal(problem)}>", 4, blocks(16 * problem.rows, 128), 128)
