"""A constant number that multiplies an operand of a product of two computed tensors moves behind it: (a * s) @ (b * t)
= (a @ b) * (s * t).

Exporters write scaled dot-product attention with the root of its scale on queries and on keys; behind the product the
scale is part of the softmax's kernel. A transpose or reshape between the factor and the product does not matter. Runs
after NormalizeArithmetic, which makes divisions factors.
"""

from dataclasses import dataclass

import numpy as np
from tvm import relax
from tvm.ir import Call, IRModule

from .. import ops
from ..ops import shape_of
from ..rewriting.rule import RewriteGraph, rewrite
from .questions import constant, is_float

_MOVES = ("relax.permute_dims", "relax.reshape")


@dataclass(frozen=True)
class MoveScaleBehindProduct:
    """Applies only where the product is the only user of what was scaled; layers with constant weights take factors
    themselves (FoldAffineForward)."""

    def __call__(self, mod: IRModule) -> IRModule:
        """The module in which constant numbers of both operands of a product are one factor behind it."""
        return rewrite(mod, _move)


def _move(graph: RewriteGraph, call: relax.Call, var: relax.Var) -> relax.Expr | None:
    if (
        not ops.is_op(call, "relax.matmul")
        or not is_float(var)
        or any(constant(operand) is not None for operand in call.args)
    ):
        return None
    (a, s), (b, t) = (_unscaled(graph, operand) for operand in call.args)
    factor = np.float32(s) * np.float32(t)
    if factor == 1 or not np.isfinite(factor) or factor == 0:
        return None
    return relax.op.multiply(graph.emit(Call(call.op, [a, b], call.attrs, call.ty_args), like=var), relax.const(factor))


def _unscaled(graph: RewriteGraph, x: relax.Expr) -> tuple[relax.Expr, float]:
    """x without the number that multiplies it, and that number; (x, 1) where there is none or others use what it
    made."""
    if not graph.used_once(x):
        return x, 1.0
    moved = graph.match(x, *_MOVES)
    if moved is not None:
        inner, factor = _unscaled(graph, moved.args[0])
        return (
            (graph.emit(Call(moved.op, [inner, *moved.args[1:]], moved.attrs, moved.ty_args), like=x), factor)
            if factor != 1
            else (x, 1.0)
        )
    scaled = graph.match(x, "relax.multiply")
    value = constant(scaled.args[1]) if scaled is not None else None
    if value is None or value.size != 1 or shape_of(scaled.args[0]) != shape_of(x):
        return x, 1.0
    return scaled.args[0], float(value.reshape(()))
