"""What canonical passes ask of an expression."""

import numpy as np
from tvm import relax
from tvm.ir import GenericConst


def constant(expr) -> np.ndarray | None:
    """The value of a constant tensor, else None."""
    return expr.value.numpy() if isinstance(expr, GenericConst) else None


def shape_of(expr) -> list[int]:
    """The static shape of a tensor expression."""
    return [int(extent) for extent in expr.ty.shape.values]


def is_float(expr) -> bool:
    """Whether an expression is a float32 tensor."""
    return isinstance(expr.ty, relax.TensorType) and str(expr.ty.dtype) == "float32"
