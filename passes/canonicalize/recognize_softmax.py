"""Softmax as exporters spell it out. Needs NormalizeArithmetic and RecognizeUnary.

e = exp(x - max(x));  e / sum(e) = softmax(x), over one axis; also e * (1 / sum(e)), and without the maximum, which
softmax takes for itself.
"""

from dataclasses import dataclass

from tvm import relax
from tvm.ir import IRModule

from .. import ops
from ..ops import shape_of
from ..rewriting.rule import RewriteGraph, rewrite
from .questions import is_float, kept, without_reshape


@dataclass(frozen=True)
class RecognizeSoftmax:
    """One operator instead of five; a sum over several axes, or of something else than what is divided, stays
    spelled out."""

    def __call__(self, mod: IRModule) -> IRModule:
        """The module with one softmax for every spelling of it."""
        return rewrite(mod, _recognize)


def _recognize(graph: RewriteGraph, call: relax.Call, var: relax.Var) -> relax.Expr | None:
    if not is_float(var) or not ops.is_op(call, "relax.divide", "relax.multiply"):
        return None
    if ops.is_op(call, "relax.divide"):
        dividend, divisor = call.args
        return _softmax(graph, dividend, divisor, var)
    for exponentials, factor in (call.args, reversed(call.args)):
        inverse = graph.unary(factor, "reciprocal")
        found = _softmax(graph, exponentials, inverse.args[0], var) if inverse is not None else None
        if found is not None:
            return found
    return None


def _softmax(graph: RewriteGraph, exponentials: relax.Expr, total: relax.Expr, var: relax.Var) -> relax.Expr | None:
    exp, axis = graph.unary(exponentials, "exp"), _axis_of(graph, total, "relax.sum", exponentials)
    if exp is None or axis is None or shape_of(exponentials) != shape_of(var):
        return None
    x = exp.args[0]
    difference = graph.match(x, "relax.subtract")
    if difference is not None and _axis_of(graph, difference.args[1], "relax.max", difference.args[0]) == axis:
        x = difference.args[0]
    return relax.op.nn.softmax(x, axis)


def _axis_of(graph: RewriteGraph, expr: relax.Expr, operator: str, of: relax.Expr) -> int | None:
    """The one axis over which `expr` reduces `of`, which it keeps as 1."""
    reduced = graph.match(without_reshape(graph, expr), operator)
    if reduced is None or not reduced.args[0].same_as(of) or reduced.attrs.axis is None or len(reduced.attrs.axis) != 1:
        return None
    shape = shape_of(of)
    axis = int(reduced.attrs.axis[0]) % len(shape)
    return axis if shape_of(expr) == kept(shape, axis) else None
