"""Softmax that exporters guard against rows in which everything is masked. Needs RecognizeSoftmax.

    where(isnan(s), c, s) = s,  s = softmax(x)

where no element of x is infinite: x is products of data, and a mask of constants that are finite, as the lowest float32
is (`torch.export` writes scaled_dot_product_attention so). With a mask of -inf a row may be NaN, and the guard stays.
"""

from dataclasses import dataclass
from math import inf

import numpy as np
from tvm import relax
from tvm.ir import IRModule

from .. import ops
from ..operators.registry import operators
from ..rewriting.rule import RewriteGraph, rewrite
from .questions import constant

# What is computed from finite data is taken to be below this: added to the lowest float32 it changes nothing.
_DATA = 1e30
_LARGEST = float(np.finfo("float32").max) + _DATA
_COMPUTED = ("relax.matmul", "relax.nn.softmax", "relax.nn.layer_norm", "relax.nn.rms_norm", "relax.nn.conv2d")
_MOVED = operators(lambda traits: traits.view) | {"relax.broadcast_to"}


@dataclass(frozen=True)
class DropNanGuards:
    """Nothing behind a softmax that cannot be NaN asks whether it is."""

    def __call__(self, mod: IRModule) -> IRModule:
        """The module without the guards that never change an element."""
        return rewrite(mod, _drop)


def _drop(graph: RewriteGraph, call: relax.Call, var: relax.Var) -> relax.Expr | None:
    if not ops.is_op(call, "relax.where"):
        return None
    asked, softmax = graph.match(call.args[0], "relax.isnan"), graph.match(call.args[2], "relax.nn.softmax")
    if asked is None or softmax is None or not asked.args[0].same_as(call.args[2]):
        return None
    unchanged = ops.shape_of(var) == ops.shape_of(call.args[2]) and _bound(graph, softmax.args[0]) <= _LARGEST
    return call.args[2] if unchanged else None


def _bound(graph: RewriteGraph, expr: relax.Expr) -> float:
    """No element has a larger magnitude; infinite where that is not known."""
    value = constant(expr)
    if value is not None:
        largest = float(np.max(np.abs(value.astype(np.float64)), initial=0.0))
        return largest if np.isfinite(largest) else inf
    call = graph.value(expr)
    if not isinstance(call, relax.Call):
        return inf  # A float that the user gives may be an infinite mask.
    if ops.is_op(call, *_COMPUTED):
        return _DATA
    if ops.is_op(call, *_MOVED):
        return _bound(graph, call.args[0])
    if ops.is_op(call, "relax.where"):
        return max(_bound(graph, branch) for branch in call.args[1:])
    if ops.is_op(call, "relax.add", "relax.subtract"):
        return _bound(graph, call.args[0]) + _bound(graph, call.args[1])
    if ops.is_op(call, "relax.multiply"):
        return _bound(graph, call.args[0]) * _bound(graph, call.args[1])
    return inf
