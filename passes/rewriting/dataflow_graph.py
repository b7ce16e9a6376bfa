"""A dataflow function as a graph: who defines a variable, who uses it, which operands are constants."""

from collections.abc import Callable
from typing import Any, overload

import numpy as np
import tvm
from tvm import relax
from tvm_ffi import structural_equal

from .. import ops
from ..constants import array_of

Binding = tuple[relax.Expr, relax.Expr]  # A binding is (variable, value).
Substitute = Callable[[relax.Expr], relax.Expr]  # Gives what stands for an operand.


class DataflowGraph:
    """Definitions and uses of the one dataflow block of `function`. bindings: (variable, value) in order; result: what
    it returns."""

    def __init__(self, function: relax.Function) -> None:
        self.function = function
        (block,) = function.body.blocks
        self.bindings, self.result = _without_aliases(block.bindings, function.body.body)
        self._definitions = dict(self.bindings)
        self._users: dict[relax.Expr | None, list[relax.Var | None]] = {}
        self._order = {var: position for position, (var, _) in enumerate(self.bindings)}
        for var, value in self.bindings:
            for used in variables(value):
                self._users.setdefault(used, []).append(var)
        for used in variables(self.result):
            self._users.setdefault(used, []).append(None)

    @overload
    def definition(self, expr: relax.Expr) -> relax.Expr: ...

    @overload
    def definition(self, expr: None) -> None: ...

    def definition(self, expr: relax.Expr | None) -> relax.Expr | None:
        """The expression that computes `expr`: itself unless it is a bound variable. A parameter is its own
        definition."""
        while isinstance(expr, relax.Var) and expr in self._definitions:
            expr = self._definitions[expr]
        return expr

    def users(self, var: relax.Expr | None) -> list[relax.Var | None]:
        """The variables whose value uses `var`, once per use; None stands for the result of the function."""
        return self._users.get(var, [])

    def used_once(self, var: relax.Expr | None) -> bool:
        """Whether one place alone reads the variable."""
        return len(self.users(var)) == 1

    def position(self, var: relax.Var) -> int:
        """Index of the binding of `var`; -1 for a parameter."""
        return self._order.get(var, -1)

    def constant(self, expr: relax.Expr) -> Any:
        """The value of an operand that is known at compile time (float32 if it is a dequantised constant), or None."""
        if not self.is_constant(expr):
            return None
        expr = self.definition(expr)
        if isinstance(expr, tvm.ir.GenericConst):
            return array_of(expr)
        values, scale, zero_point = (self.constant(arg) for arg in expr.args)
        return dequantize(values, scale, zero_point, ops.attrs_of(expr)["axis"])

    def is_constant(self, expr: relax.Expr) -> bool:
        """Whether `constant` has a value for it; asking dequantises no weights."""
        expr = self.definition(expr)
        if ops.is_op(expr, "relax.dequantize"):
            return all(self.is_constant(arg) for arg in expr.args)
        return isinstance(expr, tvm.ir.GenericConst)


def dequantize(values: np.ndarray, scale: np.ndarray, zero_point: np.ndarray, axis: int = -1) -> np.ndarray:
    """(values - zero_point) * scale in float32; scale and zero point are scalars or run along `axis`."""
    shape = [1] * values.ndim
    if values.ndim:
        shape[axis] = -1
    scale, zero_point = (np.asarray(p).reshape(shape if np.size(p) > 1 else ()) for p in (scale, zero_point))
    exact = np.float32 if values.itemsize < 4 else np.int64  # A difference of bytes or of 16 bits is exact in float32.
    difference = values.astype(exact) - zero_point.astype(exact)
    return difference.astype(np.float32, copy=False) * scale.astype(np.float32)


def variables(expr: relax.Expr | None) -> list[relax.Var]:
    """The variables that occur in an expression, once per occurrence."""
    if isinstance(expr, relax.Var):
        return [expr]
    if isinstance(expr, relax.Call):
        return [var for arg in expr.args for var in variables(arg)]
    if isinstance(expr, relax.Tuple):
        return [var for field in expr.fields for var in variables(field)]
    if isinstance(expr, relax.TupleGetItem):
        return variables(expr.tuple_value)
    return []


def rebuild_expr(expr: relax.Expr, substitute: Substitute) -> relax.Expr:
    """`expr` with every operand replaced by substitute(operand), itself where none changes; shapes and literals stay. A
    call's type is inferred again only where the type of an operand changed."""
    if isinstance(expr, (relax.Var, tvm.ir.GenericConst)):
        return substitute(expr)
    if isinstance(expr, relax.TupleGetItem):
        source = rebuild_expr(expr.tuple_value, substitute)
        return expr if source.same_as(expr.tuple_value) else relax.TupleGetItem(source, expr.index)
    if not isinstance(expr, (relax.Call, relax.Tuple)):
        return expr
    old = expr.args if isinstance(expr, relax.Call) else expr.fields
    new = [rebuild_expr(operand, substitute) for operand in old]
    if all(map(_same, new, old)):
        return expr
    if isinstance(expr, relax.Tuple):
        return relax.Tuple(new)
    typed = all(_same(a, b) or structural_equal(a.ty, b.ty) for a, b in zip(new, old))
    return relax.Call(expr.op, new, expr.attrs, expr.ty_args, ret_ty=expr.ty if typed else None)


def _same(new: relax.Expr, old: relax.Expr) -> bool:
    return new.same_as(old)


def _without_aliases(
    bindings: list[relax.VarBinding], result: relax.Var
) -> tuple[list[tuple[relax.Var, relax.Expr]], relax.Var]:
    """([(variable, value)], result) with every variable that only renames another one replaced by it."""
    renamed: dict[relax.Var, relax.Var] = {}
    kept = []
    for binding in bindings:
        value = rebuild_expr(binding.value, lambda operand: renamed.get(operand, operand)) if renamed else binding.value
        if isinstance(value, relax.Var):
            renamed[binding.var] = value
        else:
            kept.append((binding.var, value))
    return kept, renamed.get(result, result)
