"""Operators of the referee that NumPy has as they are: comparisons, logic, integers, and functions whose last bits are
not promised (promise.py)."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ...targets.seams import Attrs
from .values import Evaluate, Values


def quotient(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """x / y. Of integers it is truncated: x / 0 = 0, lowest / -1 = lowest; of floats IEEE's."""
    if x.dtype.kind == "f":
        return np.divide(x, y)
    floored = np.floor_divide(x, y)
    return np.where((floored < 0) & (floored * y != x), floored + np.ones((), x.dtype), floored)


def _axes(x: np.ndarray, attrs: Attrs) -> tuple[int, ...]:
    return (
        tuple(range(x.ndim))
        if attrs["axis"] is None
        else tuple(attrs["axis"])
        if isinstance(attrs["axis"], list)
        else (attrs["axis"],)
    )


def _reduced(function: Any) -> Evaluate:
    def run(args: Values, attrs: Attrs) -> np.ndarray:
        x = args[0]
        wide = x.astype(np.float64) if x.dtype.kind == "f" else x
        return np.asarray(function(wide, axis=_axes(x, attrs), keepdims=bool(attrs["keepdims"]))).astype(x.dtype)

    return run


def _function(function: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    """The function computed in float64 and rounded once."""
    return lambda args, attrs: function(args[0].astype(np.float64)).astype(args[0].dtype)


def _triangle(function: Callable[..., np.ndarray]) -> Evaluate:
    return lambda args, attrs: function(args[0], args[1] if len(args) > 1 else attrs["k"])


def _einsum(args: Values, attrs: Attrs) -> np.ndarray:
    (operands,) = args
    wide = [x.astype(np.float64) if x.dtype.kind == "f" else x for x in operands]
    return np.asarray(np.einsum(attrs["subscripts"], *wide)).astype(operands[0].dtype)


def _eye_like(args: Values, attrs: Attrs) -> np.ndarray:
    rows, columns = args[0].shape
    return np.eye(
        rows,
        columns,
        int(args[1]) if len(args) > 1 else 0,
        np.dtype(str(attrs["dtype"])) if attrs.get("dtype") else args[0].dtype,
    )


_OF_TWO = {
    "divide": quotient,
    "floor_divide": np.floor_divide,
    "mod": np.fmod,
    "floor_mod": np.mod,
    "logical_xor": np.logical_xor,
    "bitwise_and": np.bitwise_and,
    "bitwise_or": np.bitwise_or,
    "bitwise_xor": np.bitwise_xor,
    "left_shift": np.left_shift,
    "right_shift": np.right_shift,
}
_OF_ONE = {"bitwise_not": np.bitwise_not, "isinf": np.isinf}
FUNCTIONS = {
    "tan": np.tan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
}

ELEMENTWISE = (
    {f"relax.{name}": (lambda args, attrs, f=f: f(*args)) for name, f in (_OF_TWO | _OF_ONE).items()}
    | {f"relax.{name}": _function(f) for name, f in FUNCTIONS.items()}
    | {f"relax.{name}": _reduced(f) for name, f in {"prod": np.prod, "variance": np.var, "std": np.std}.items()}
    | {
        "relax.tril": _triangle(np.tril),
        "relax.triu": _triangle(np.triu),
        "relax.einsum": _einsum,
        "relax.eye_like": _eye_like,
    }
)
