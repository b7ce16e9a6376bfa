"""octet.resize2d of a packed tensor."""

from dataclasses import dataclass

from ..kernel import CudaKernel, blocks, literal


@dataclass(frozen=True)
class Interpolation:
    """The parameters of the kernel in device/interpolate.cuh, field by field."""

    images: int
    height: int
    width: int
    stride: int
    out_height: int
    out_width: int
    row_units: int
    column_units: int
    zero_point: int
    out_zero_point: int
    low: int
    high: int
    multiplier: float


def interpolate(problem: Interpolation) -> CudaKernel:
    """octet.resize2d. Operands: data, tables of the rows and of the columns, result."""
    threads = problem.images * problem.out_height * problem.out_width * problem.stride // 4
    return CudaKernel("resize2d", "interpolate.cuh", f"interpolate<{literal(problem)}>", 4, blocks(threads, 128), 128)
