"""Sums, products, tables and changes of scale of packed int8 tensors."""

from dataclasses import dataclass

import numpy as np

from ..kernel import CudaKernel, bits, blocks, literal
from ..layout import CudaLayout


@dataclass(frozen=True)
class Binary:
    """The parameters of the kernel in device/elementwise.cuh, field by field."""

    product: bool
    n: int
    h: int
    w: int
    stride: int
    a_n: int
    a_h: int
    a_w: int
    b_n: int
    b_h: int
    b_w: int
    a_channels: bool
    b_channels: bool
    a_zero_point: int
    b_zero_point: int
    zero_point: int
    low: int
    high: int
    a_multiplier: float
    b_multiplier: float


def operand_steps(operand: CudaLayout, result: CudaLayout) -> tuple[int, int, int, bool]:
    """(bytes per image, line and column, whether channels run) of an operand that is broadcast to `result`, both packed
    and of one rank."""
    images, height, width = operand.image
    spans = (height * width * operand.stride, width * operand.stride, operand.stride)
    image, line, column = (
        0 if extent == 1 else span for extent, span in zip((images, height, width), spans, strict=True)
    )
    return (image, line, column, operand.channels > 1 or result.channels == 1)


def binary(problem: Binary) -> CudaKernel:
    """The kernel of octet.add and octet.mul. Operands: both, result."""
    threads = problem.n * problem.h * problem.w * problem.stride // (16 if problem.stride % 16 == 0 else 4)
    name = "mul" if problem.product else "add"
    return CudaKernel(name, "elementwise.cuh", f"binary<{literal(problem)}>", 3, blocks(threads, 128), 128)


def table(layout: CudaLayout, tables: np.ndarray) -> tuple[CudaKernel, np.ndarray]:
    """The kernel that looks values up. tables: int8 [256] or [C, 256] (channels innermost in the layout). The kernel,
    and the tables as it wants them."""
    per_channel = tables.ndim == 2
    call = f"table<{layout.elements}, {layout.stride if layout.kind == 'packed' else 1}, {literal(per_channel)}>"
    if per_channel:
        tables = np.pad(tables, ((0, layout.stride - layout.channels), (0, 0)))
    return CudaKernel("table", "elementwise.cuh", call, 3, blocks(-(-layout.elements // 4), 128), 128), tables


def requantize(
    layout: CudaLayout, from_zero_point: int, zero_point: int, low: int, high: int, multiplier: float
) -> CudaKernel:
    """The kernel of octet.requantize, element by element. Operands: codes, result."""
    arguments = f"{layout.elements}, {from_zero_point}, {zero_point}, {low}, {high}, {bits(multiplier)}"
    call = f"requantize_codes<{arguments}>"
    return CudaKernel("requantize", "elementwise.cuh", call, 2, blocks(-(-layout.elements // 4), 128), 128)
