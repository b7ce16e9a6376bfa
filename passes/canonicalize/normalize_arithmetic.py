"""Fewer elementwise operators.

subtract(x, c) = add(x, -c); subtract(c, x) = add(multiply(x, -1), c); divide(x, c) = multiply(x, 1/c); divide(c, x) =
multiply(1/x, c); negative(x) = multiply(x, -1); a constant operand comes second; maximum(x, c) = clip(x, c, inf),
minimum(x, c) = clip(x, -inf, c) for a lone number c; relu6(x) = clip(x, 0, 6); power(x, 2) = x*x, power(x, 1/2) =
sqrt(x), power(x, c) = octet.unary.
Only float32; needs FoldConstants.
"""

import math
from dataclasses import dataclass

import numpy as np
from tvm import relax
from tvm.ir import Call, IRModule

from .. import ops
from ..operators.registry import operators
from ..rewriting.rule import RewriteGraph, rewrite
from .channel import one_value
from .questions import constant, is_float, known

_BINARY = operators(lambda traits: traits.elementwise == 2 and traits.real_function)


@dataclass(frozen=True)
class NormalizeArithmetic:
    """Brings arithmetic with constants to add, multiply, clip and octet.unary."""

    def __call__(self, mod: IRModule) -> IRModule:
        """The module whose arithmetic with constants is add, multiply, clip and octet.unary, the constant second."""
        return rewrite(mod, _normalize)


def _normalize(graph: RewriteGraph, call: relax.Call, var: relax.Var) -> relax.Expr | None:
    if not isinstance(call, Call) or not is_float(var):
        return None
    if ops.is_op(call, "relax.negative"):
        return relax.op.multiply(call.args[0], relax.const(np.float32(-1)))
    if ops.is_op(call, "relax.square"):
        return relax.op.multiply(call.args[0], call.args[0])
    if ops.is_op(call, "relax.nn.relu6"):
        return relax.op.clip(call.args[0], 0.0, 6.0)
    if not ops.is_op(call, *_BINARY):
        return None
    a, b = call.args
    left, right = constant(a), constant(b)
    if (left is None) == (right is None):
        return None
    if right is not None:
        return _constant_second(call.op.name, a, right)
    return _constant_first(graph, call.op.name, known(a), b)


def _constant_second(name: str, x: relax.Expr, c: np.ndarray) -> relax.Expr | None:
    one = one_value(c)
    if name == "relax.subtract":
        return relax.op.add(x, relax.const(-c))
    if name == "relax.divide" and np.all(c != 0):
        return relax.op.multiply(x, relax.const((1.0 / c.astype("float64")).astype("float32")))
    if name == "relax.maximum" and one is not None:
        return relax.op.clip(x, one, math.inf)
    if name == "relax.minimum" and one is not None:
        return relax.op.clip(x, -math.inf, one)
    if name == "relax.power" and one is not None:
        return _power(x, one)
    return None


def _constant_first(graph: RewriteGraph, name: str, c: np.ndarray, x: relax.Expr) -> relax.Expr | None:
    if name == "relax.add":
        return relax.op.add(x, relax.const(c))
    if name == "relax.multiply":
        return relax.op.multiply(x, relax.const(c))
    if name in ("relax.maximum", "relax.minimum"):
        return _constant_second(name, x, c)
    if name == "relax.subtract":
        return relax.op.add(graph.emit(relax.op.multiply(x, relax.const(np.float32(-1)))), relax.const(c))
    if name == "relax.divide":
        return relax.op.multiply(graph.emit(ops.call("octet.unary", [x], kind="reciprocal")), relax.const(c))
    return None


def _power(x: relax.Expr, exponent: float) -> relax.Expr:
    if exponent == 1.0:
        return x
    if exponent == 2.0:
        return relax.op.multiply(x, x)
    if exponent in (0.5, -0.5, -1.0):
        return ops.call("octet.unary", [x], kind={0.5: "sqrt", -0.5: "rsqrt", -1.0: "reciprocal"}[exponent])
    return ops.call("octet.unary", [x], kind="power", exponent=exponent)
