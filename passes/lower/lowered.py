"""One expression of the logical graph on its way down: what every kind of target does alike."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import tvm
from tvm import relax

if TYPE_CHECKING:
    from .cpu.context import CpuContext
    from .cpu.value import Value
    from .cuda.context import CudaContext, CudaTensor


def lowered(
    expr: relax.Expr,
    context: "CpuContext | CudaContext",
    rules: dict[str, list[Callable[..., Any]]],
    otherwise: Callable[..., Any],
) -> "CudaTensor | Value | tuple[CudaTensor | Value, ...]":
    """What `expr` becomes: a value of the context, a tuple of them, or what the first rule that takes the operator
    answers.

    context: `values` (variable -> value or tuple of values), `find(expr)` (the value of a variable or constant). rules:
    operator's name -> functions (call, context) -> value, tuple, or None for "not mine". otherwise: takes the call that
    no rule does."""
    if isinstance(expr, relax.Var):
        return context.values[expr]
    if isinstance(expr, tvm.ir.GenericConst):
        return context.find(expr)
    if isinstance(expr, relax.Tuple):
        return tuple(context.find(field) for field in expr.fields)
    if isinstance(expr, relax.TupleGetItem):
        return context.values[expr.tuple_value][expr.index]
    for rule in rules.get(expr.op.name, ()):
        result = rule(expr, context)
        if result is not None:
            return result
    return otherwise(expr)
