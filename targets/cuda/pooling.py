"""Maximum and average over windows of a packed tensor."""

from dataclasses import dataclass

from .kernel import Kernel, blocks, literal

_LARGE = 16  # elements of a window from which a whole warp shares it


@dataclass(frozen=True)
class Pool:
    """As in device/pooling.cuh."""

    images: int
    height: int
    width: int
    stride: int
    out_height: int
    out_width: int
    kernel_height: int
    kernel_width: int
    step_height: int
    step_width: int
    top: int
    left: int
    dilation_height: int
    dilation_width: int
    zero_point: int = 0
    out_zero_point: int = 0
    low: int = -128
    high: int = 127
    multiplier: float = 1.0
    count_padding: bool = True


def max_pool(problem: Pool) -> Kernel:
    unit = 16 if problem.stride % 16 == 0 else 4
    threads = problem.images * problem.out_height * problem.out_width * problem.stride // unit
    return Kernel("max_pool2d", "pooling.cuh", f"max_pool<{literal(problem)}>", 2, blocks(threads, 128), 128)


def average_pool(problem: Pool) -> Kernel:
    lanes = 32 if problem.kernel_height * problem.kernel_width >= _LARGE else 1
    threads = problem.images * problem.out_height * problem.out_width * problem.stride // 4 * lanes
    return Kernel("avg_pool2d", "pooling.cuh", f"average_pool<{literal(problem)}, {lanes}>", 2, blocks(threads, 128), 128)
