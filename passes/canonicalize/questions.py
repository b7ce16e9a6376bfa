"""What canonical passes ask of an expression."""

import numpy as np
from tvm import relax
from tvm.ir import GenericConst

from ..constants import array_of
from ..rewriting.rule import RewriteGraph


def constant(expr: relax.Expr) -> np.ndarray | None:
    """The value of a constant tensor, else None."""
    return array_of(expr) if isinstance(expr, GenericConst) else None


def known(expr: relax.Expr) -> np.ndarray:
    """The value of what is a constant tensor."""
    value = constant(expr)
    assert value is not None, expr
    return value


def is_float(expr: relax.Expr) -> bool:
    """Whether an expression is a float32 tensor."""
    return isinstance(expr.ty, relax.TensorType) and str(expr.ty.dtype) == "float32"


def kept(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    """The shape of a reduction over one axis that keeps it."""
    return tuple(1 if i == axis else extent for i, extent in enumerate(shape))


def without_reshape(graph: RewriteGraph, expr: relax.Expr) -> relax.Expr:
    """What an expression is a reshape of; its elements are the same in the same order."""
    reshape = graph.match(expr, "relax.reshape", "relax.expand_dims")
    return reshape.args[0] if reshape is not None else expr


def channels_last(rank: int) -> list[int]:
    """The axes of a transpose that moves the channels from axis 1 to the end."""
    return [0, *range(2, rank), 1]


def channels_second(rank: int) -> list[int]:
    """The axes of the transpose that puts the channels of an image second again."""
    return [0, rank - 1, *range(1, rank - 1)]
