"""Operators along one axis of a plain tensor [outer, count, inner]: extremes and their places, running sums, the first
k."""

from dataclasses import dataclass

from ..kernel import CudaKernel, blocks, literal
from .floats import TYPES

DTYPES = ("float32", "int32", "int64")
_THREADS = 128


@dataclass(frozen=True)
class Axis:
    """The tensor and the axis that a kernel works along. dtype: of DTYPES."""

    outer: int
    count: int
    inner: int
    dtype: str

    @property
    def rows(self) -> int:
        """How many vectors along the axis the tensor consists of."""
        return self.outer * self.inner

    @property
    def arguments(self) -> str:
        """The first four parameters of every template of device/axis.cuh."""
        return f"{self.outer}L, {self.count}, {self.inner}L, {TYPES[self.dtype]}"


def extreme(axis: Axis, largest: bool, where: bool) -> CudaKernel:
    """The kernel of the largest or smallest element along an axis. where: the place of the first extreme (int64)
    instead of its value."""
    lanes = 32 if axis.inner == 1 and axis.count >= 32 else 1
    call = f"extreme<{axis.arguments}, {literal(largest)}, {literal(where)}, {lanes}>"
    return CudaKernel(
        f"{'arg' * where}{'max' if largest else 'min'}",
        "axis.cuh",
        call,
        2,
        blocks(axis.rows * lanes, _THREADS),
        _THREADS,
    )


def running_sum(axis: Axis, exclusive: bool) -> CudaKernel:
    """The kernel of running sums along an axis. Operands: data, result. exclusive: without the element itself."""
    return CudaKernel(
        "running_sum",
        "axis.cuh",
        f"running_sum<{axis.arguments}, {literal(exclusive)}>",
        2,
        blocks(axis.rows, _THREADS),
        _THREADS,
    )


def top_k(axis: Axis, k: int, largest: bool, where: bool) -> CudaKernel:
    """The kernel of the largest or smallest k along an axis. Operands: data, result. where: the int64 indices in place
    of the values."""
    call = f"top_k<{axis.arguments}, {k}, {literal(largest)}, {literal(where)}>"
    return CudaKernel("top_k", "axis.cuh", call, 2, blocks(axis.rows, _THREADS), _THREADS)
