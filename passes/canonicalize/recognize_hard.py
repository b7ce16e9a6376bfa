"""Hard sigmoid and hard swish as exporters spell them out. Needs NormalizeArithmetic and MergeClips.

clip(a*x + b, 0, 1) = hard_sigmoid(x; a, b);   clip(x + b, 0, m) * c = hard_sigmoid(x; c, b*c) if m*c = 1;
x * hard_sigmoid(x; 1/6, 1/2) = hard_swish(x) = (x * clip(x + 3, 0, 6)) * 1/6.
"""

import math
from dataclasses import dataclass

from tvm import relax
from tvm.ir import IRModule

from ...targets.seams import Attrs
from .. import ops
from ..rewriting.rule import RewriteGraph, rewrite
from .channel import one_value
from .clips import bounds
from .questions import constant


@dataclass(frozen=True)
class RecognizeHard:
    """Finds both functions; a clip whose bounds or slopes do not fit stays a clip."""

    def __call__(self, mod: IRModule) -> IRModule:
        """The module with an octet.unary of kind hard_sigmoid or hard_swish for every spelling of it."""
        return rewrite(mod, _recognize)


def _recognize(graph: RewriteGraph, call: relax.Call, var: relax.Var) -> relax.Expr | None:
    if ops.is_op(call, "relax.clip") and bounds(call) == (0.0, 1.0):
        x, alpha, beta = _line(graph, call.args[0])
        # A plain clip to [0, 1] is not a hard sigmoid.
        return None if alpha == 1.0 and beta == 0.0 else _hard_sigmoid(x, alpha, beta)
    if not ops.is_op(call, "relax.multiply"):
        return None
    factor = one_value(constant(call.args[1]))
    if factor is not None:
        return _scaled_clip(graph, call.args[0], factor)
    for x, gate in (call.args, reversed(call.args)):
        hard = graph.unary(gate, "hard_sigmoid")
        if hard is not None and hard.args[0].same_as(x) and _is_swish(ops.attrs_of(hard)):
            return ops.call("octet.unary", [x], kind="hard_swish")
    return None


def _line(graph: RewriteGraph, expr: relax.Expr) -> tuple[relax.Expr, float, float]:
    """expr = alpha * x + beta with the longest such chain that is spelled out."""
    alpha, beta = 1.0, 0.0
    add = graph.match(expr, "relax.add")
    shift = one_value(constant(add.args[1])) if add is not None else None
    if shift is not None:
        expr, beta = add.args[0], shift
    multiply = graph.match(expr, "relax.multiply")
    slope = one_value(constant(multiply.args[1])) if multiply is not None else None
    return (multiply.args[0], slope, beta) if slope is not None else (expr, alpha, beta)


def _scaled_clip(graph: RewriteGraph, expr: relax.Expr, factor: float) -> relax.Expr | None:
    clip = graph.match(expr, "relax.clip")
    limits = bounds(clip) if clip is not None else None
    if (
        clip is not None
        and limits is not None
        and limits[0] == 0.0
        and math.isclose(limits[1] * factor, 1.0, rel_tol=1e-5)
    ):
        x, alpha, beta = _line(graph, clip.args[0])
        return _hard_sigmoid(x, alpha * factor, beta * factor)
    product = graph.match(expr, "relax.multiply")
    if product is None or not math.isclose(factor, 1 / 6, rel_tol=1e-5):
        return None
    for x, gate in (product.args, reversed(product.args)):
        clip = graph.match(gate, "relax.clip")
        if clip is None or bounds(clip) != (0.0, 6.0):
            continue
        inner, alpha, beta = _line(graph, clip.args[0])
        if inner.same_as(x) and (alpha, beta) == (1.0, 3.0):
            return ops.call("octet.unary", [x], kind="hard_swish")
    return None


def _hard_sigmoid(x: relax.Expr, alpha: float, beta: float) -> relax.Expr:
    return ops.call("octet.unary", [x], kind="hard_sigmoid", alpha=alpha, beta=beta)


def _is_swish(attrs: Attrs) -> bool:
    return math.isclose(attrs["alpha"], 1 / 6, rel_tol=1e-5) and math.isclose(attrs["beta"], 0.5, rel_tol=1e-5)
