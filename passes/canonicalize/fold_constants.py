"""f(constants) = constant, for the data movement and arithmetic that converters put around weights."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from tvm import relax
from tvm.ir import Call, IRModule

from .. import ops
from ..ops import shape_of
from ..rewriting.rule import RewriteGraph, rewrite
from ..unary import evaluate
from .questions import constant

_BINARY = {
    "relax.add": np.add,
    "relax.subtract": np.subtract,
    "relax.multiply": np.multiply,
    "relax.divide": np.divide,
    "relax.maximum": np.maximum,
    "relax.minimum": np.minimum,
    "relax.power": np.power,
}
_ROUNDED = ("relax.divide", "relax.power")  # Of integers NumPy's are another number.


@dataclass(frozen=True)
class FoldConstants:
    """Evaluates calls whose tensor operands are all constant with NumPy, in the operands' dtype."""

    def __call__(self, mod: IRModule) -> IRModule:
        """The module whose calls all read at least one computed tensor, but for those that NumPy has no equation for
        here."""
        return rewrite(mod, _fold)


def _fold(graph: RewriteGraph, call: relax.Call, var: relax.Var) -> relax.Expr | None:
    if not isinstance(call, Call) or not isinstance(var.ty, relax.TensorType):
        return None
    if ops.is_op(call, "relax.concat"):
        operands = _fields(graph, call.args[0])
    else:
        operands = [arg for arg in call.args if not isinstance(arg, relax.ShapeExpr)]
    values = [value for value in map(constant, operands) if value is not None]
    if not values or len(values) < len(operands):
        return None
    result: np.ndarray | None = (
        np.concatenate(values, int(call.attrs.axis))
        if ops.is_op(call, "relax.concat")
        else _evaluate(call, values, var)
    )
    dtype = str(var.ty.dtype)
    return None if result is None else relax.const(np.ascontiguousarray(result, dtype).reshape(shape_of(var)), dtype)


def _evaluate(call: relax.Call, values: list[np.ndarray], var: relax.Var) -> np.ndarray | None:
    name = call.op.name if hasattr(call.op, "name") else ""
    if name in _BINARY and (str(var.ty.dtype).startswith("float") or name not in _ROUNDED):
        return _BINARY[name](*values)
    if name == "relax.permute_dims":
        return np.transpose(values[0], None if call.attrs.axes is None else [int(a) for a in call.attrs.axes])
    if name in ("relax.reshape", "relax.expand_dims", "relax.squeeze", "relax.flatten"):
        return values[0]
    if name == "relax.broadcast_to":
        return np.broadcast_to(values[0], shape_of(var))
    if name == "relax.astype":
        return values[0].astype(str(var.ty.dtype))
    if name == "relax.negative":
        return -values[0]
    if name == "octet.unary":
        attrs = ops.attrs_of(call)
        return evaluate(attrs["kind"], values[0], attrs)
    return None


def _fields(graph: RewriteGraph, expr: relax.Expr) -> Sequence[relax.Expr]:
    value = graph.value(expr)
    return value.fields if isinstance(value, relax.Tuple) else []
