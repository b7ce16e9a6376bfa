"""Maximum and average over windows of a packed tensor."""

from dataclasses import dataclass

from ..kernel import CudaKernel, blocks, literal
from .window import Window

_LARGE = 16  # A window with as many elements is shared by a whole warp.


@dataclass(frozen=True)
class Pool(Window):
    """The parameters of the kernel in device/pooling.cuh, field by field. stride: bytes from pixel to pixel, of data
    and result."""

    stride: int
    zero_point: int = 0
    out_zero_point: int = 0
    low: int = -128
    high: int = 127
    multiplier: float = 1.0
    count_padding: bool = True


def max_pool(problem: Pool) -> CudaKernel:
    """The kernel of an int8 maximum. Operands: data, result."""
    unit = 16 if problem.stride % 16 == 0 else 4
    threads = problem.pixels * problem.stride // unit
    return CudaKernel("max_pool2d", "pooling.cuh", f"max_pool<{literal(problem)}>", 2, blocks(threads, 128), 128)


def average_pool(problem: Pool) -> CudaKernel:
    """octet.avg_pool2d; large windows are added up by a warp. Operands: data, result."""
    lanes = 32 if problem.taps >= _LARGE else 1
    threads = problem.pixels * problem.stride // 4 * lanes
    return CudaKernel(
        "avg_pool2d", "pooling.cuh", f"average_pool<{literal(problem)}, {lanes}>", 2, blocks(threads, 128), 128
    )
