"""GELU as exporters spell it out. Needs NormalizeArithmetic and RecognizeUnary.

x * (1 + erf(x / sqrt(2))) * 1/2 = gelu(x)
x * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3))) * 1/2 = gelu_tanh(x)        in every order of the factors
"""

import math
from dataclasses import dataclass

from tvm import relax
from tvm.ir import IRModule

from .. import ops
from ..rewriting.rule import RewriteGraph, rewrite
from .channel import one_value
from .questions import constant

_CUBIC = 0.044715


@dataclass(frozen=True)
class RecognizeGelu:
    """Finds the erf and the tanh form; other constants leave the operators as they are."""

    def __call__(self, mod: IRModule) -> IRModule:
        """The module with an octet.unary of kind gelu or gelu_tanh for every spelling of it."""
        return rewrite(mod, _recognize)


def _recognize(graph: RewriteGraph, call: relax.Call, var: relax.Var) -> relax.Expr | None:
    if not ops.is_op(call, "relax.multiply"):
        return None
    half, product = _strip(graph, call)
    product = graph.match(product, "relax.multiply")
    if product is None:
        return None
    for x, gate in (product.args, reversed(product.args)):
        factor, gate = _strip(graph, gate)
        inner = _one_plus(graph, gate)
        if inner is None:
            continue
        # The product is half * factor * x * (1 + f(..)), where x itself may carry the 1/2 as a factor of its own.
        for scale, base in ((1.0, x), _strip(graph, x)):
            kind = _kind(graph, inner, base)
            if kind is not None and _close(half * factor * scale, 0.5):
                return ops.call("octet.unary", [base], kind=kind)
    return None


def _one_plus(graph: RewriteGraph, expr: relax.Expr) -> relax.Expr | None:
    add = graph.match(expr, "relax.add")
    return (
        graph.match(add.args[0], "octet.unary") if add is not None and one_value(constant(add.args[1])) == 1.0 else None
    )


def _kind(graph: RewriteGraph, inner: relax.Expr, x: relax.Expr) -> str | None:
    kind = ops.attrs_of(inner)["kind"]
    factor, argument = _strip(graph, inner.args[0])
    if kind == "erf":
        return "gelu" if argument.same_as(x) and _close(factor, math.sqrt(0.5)) else None
    if kind != "tanh":
        return None
    if _close(factor, math.sqrt(2 / math.pi)) and (_is_cubic(graph, argument, x) or _is_product(graph, argument, x)):
        return "gelu_tanh"
    # The factor sqrt(2/pi) may stand at x inside the product x * (1 + 0.044715 x^2).
    scaled = graph.match(argument, "relax.multiply")
    for left, right in (scaled.args, reversed(scaled.args)) if scaled is not None else ():
        inside, base = _strip(graph, left)
        if base.same_as(x) and _close(factor * inside, math.sqrt(2 / math.pi)) and _is_one_plus_square(graph, right, x):
            return "gelu_tanh"
    return None


def _is_cubic(graph: RewriteGraph, expr: relax.Expr, x: relax.Expr) -> bool:
    """x + 0.044715 * x^3"""
    add = graph.match(expr, "relax.add")
    return add is not None and any(
        left.same_as(x) and _is_monomial(graph, right, x, 3) for left, right in (add.args, reversed(add.args))
    )


def _is_product(graph: RewriteGraph, expr: relax.Expr, x: relax.Expr) -> bool:
    """x * (1 + 0.044715 * x^2)"""
    multiply = graph.match(expr, "relax.multiply")
    pairs = (multiply.args, reversed(multiply.args)) if multiply is not None else ()
    return any(left.same_as(x) and _is_one_plus_square(graph, right, x) for left, right in pairs)


def _is_one_plus_square(graph: RewriteGraph, expr: relax.Expr, x: relax.Expr) -> bool:
    add = graph.match(expr, "relax.add")
    return add is not None and one_value(constant(add.args[1])) == 1.0 and _is_monomial(graph, add.args[0], x, 2)


def _is_monomial(graph: RewriteGraph, expr: relax.Expr, x: relax.Expr, degree: int) -> bool:
    """0.044715 * x^degree"""
    found = _monomial(graph, expr, x, degree)
    return found is not None and found[1] == degree and _close(found[0], _CUBIC)


def _monomial(graph: RewriteGraph, expr: relax.Expr, x: relax.Expr, depth: int) -> tuple[float, ...] | None:
    """(c, n) where expr is c * x^n, its factors in whatever order and grouping; None where it is something else, or has
    more than `depth` products."""
    factor, rest = _strip(graph, expr)
    if rest.same_as(x):
        return factor, 1
    power = graph.unary(rest, "power")
    if power is not None:
        return (factor, ops.attrs_of(power)["exponent"]) if power.args[0].same_as(x) else None
    multiply = graph.match(rest, "relax.multiply")
    if multiply is None or depth <= 1:
        return None
    one, other = (_monomial(graph, arg, x, depth - 1) for arg in multiply.args)
    if one is None or other is None:
        return None
    return factor * one[0] * other[0], one[1] + other[1]


def _strip(graph: RewriteGraph, expr: relax.Expr) -> tuple[float, relax.Expr]:
    """expr = factor * rest, with lone constant factors taken off."""
    factor = 1.0
    multiply = graph.match(expr, "relax.multiply")
    while multiply is not None and (number := one_value(constant(multiply.args[1]))) is not None:
        factor, expr = factor * number, multiply.args[0]
        multiply = graph.match(expr, "relax.multiply")
    return factor, expr


def _close(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=1e-4)
