"""Shapes of results that several operators share."""

from .definition import Arguments, OperandType


def window_count(extent: int, before: int, after: int, kernel: int, stride: int, dilation: int = 1) -> int:
    """How many windows fit along an axis."""
    return (extent + before + after - dilation * (kernel - 1) - 1) // stride + 1


def broadcast(a: Arguments, x: list[int], y: list[int]) -> list[int]:
    """The shape of both together, by NumPy's rules."""
    rank = max(len(x), len(y))
    x, y = [1] * (rank - len(x)) + x, [1] * (rank - len(y)) + y
    a.require(all(m == n or 1 in (m, n) for m, n in zip(x, y)), f"shapes {x} and {y} do not broadcast")
    return [n if m == 1 else m for m, n in zip(x, y)]


def same(a: Arguments) -> OperandType:
    """The type of the first operand."""
    return a.tensor(0)


def image(a: Arguments) -> list[int]:
    """The shape of the first operand, which is NCHW."""
    a.require(len(a.shape(0)) == 4, f"{a.tensors[0]} is no NCHW image")
    return a.shape(0)
