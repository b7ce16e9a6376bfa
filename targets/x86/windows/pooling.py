"""What a pooling kernel must compute, and the rows and columns of its windows."""

from dataclasses import dataclass

from tvm import tirx
from tvm.tirx.script import builder as T

from ..layout import Layout
from ..vector import check_range


@dataclass(frozen=True)
class PoolProblem:
    """The largest or average value of every window. kind: "max" or "average". shape: logical NCHW. padding: top, left,
    bottom, right (ceil mode resolved into it).

    An average of int8 is octet.avg_pool2d (passes/ops.py); of float32 the sum divided by the count. count_include_pad:
    whether padding, which contributes nothing, is counted."""

    kind: str
    dtype: str
    shape: tuple[int, int, int, int]
    size: tuple[int, int]
    strides: tuple[int, int]
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)
    count_include_pad: bool = False
    data_zero_point: int = 0
    out_zero_point: int = 0
    multiplier: float = 1.0
    clip_min: int = -128
    clip_max: int = 127
    multiply_adds = 0  # A dot product does none of its work.

    def __post_init__(self) -> None:
        assert self.kind in ("max", "average") and self.dtype in ("int8", "float32"), self
        assert self.dilation == (1, 1) or not any(self.padding), "a dilated window must not reach into padding"
        assert all(p < k for p, k in zip(self.padding[:2], self.size)), "every window needs a valid element"
        check_range(255 * self.multiplier)

    def extent(self, axis: int) -> int:
        """The extent of the result along an axis, 0 or 1."""
        reach = self.dilation[axis] * (self.size[axis] - 1) + 1
        return (self.shape[2 + axis] + self.padding[axis] + self.padding[axis + 2] - reach) // self.strides[axis] + 1

    @property
    def source(self) -> Layout:
        """The layout of the operand: NHWC of the logical shape."""
        return Layout("nhwc", self.shape, self.dtype)

    @property
    def target(self) -> Layout:
        """The layout of the result: the operand's, with the extents of the result."""
        return Layout("nhwc", (*self.shape[:2], self.extent(0), self.extent(1)), self.dtype)

    @property
    def light(self) -> bool:
        """Whether a task is so little work that threads share it late: averages of int8 alone are."""
        return self.kind == "average" and self.dtype == "int8"

    @property
    def traffic(self) -> int:
        """Bytes that the kernel loads and stores, a measure of its work."""
        taps = self.size[0] * self.size[1]
        return self.target.elements * (1 + taps) * (1 if self.dtype == "int8" else 4)

    @property
    def name(self) -> str:
        """The kernel's: kind, dtype, shape, window and strides."""
        n, c, h, w = self.shape
        return f"{self.kind}_pool_{self.dtype}_{n}x{c}x{h}x{w}_{self.size[0]}x{self.size[1]}_s{self.strides[0]}"


def first_tap(p: PoolProblem, axis: int, position: tirx.Expr | int) -> tirx.Expr | int:
    """Coordinate of a window's first tap; negative in the padding."""
    return position * p.strides[axis] - p.padding[axis]


def reaches_outside(p: PoolProblem, axis: int) -> bool:
    """Whether some window has taps beside the image."""
    last = (p.extent(axis) - 1) * p.strides[axis] - p.padding[axis] + p.dilation[axis] * (p.size[axis] - 1)
    return p.padding[axis] > 0 or last >= p.shape[2 + axis]


def inside(p: PoolProblem, axis: int, position: tirx.Expr | int) -> tuple[tirx.Expr, tirx.Expr]:
    """(first, last + 1): the part of a window that lies in the image, for windows without dilation."""
    first = first_tap(p, axis, position)
    return T.Bind(tirx.max(first, 0)), T.Bind(tirx.min(first + p.size[axis], p.shape[2 + axis]))
