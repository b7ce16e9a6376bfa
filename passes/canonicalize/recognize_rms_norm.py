"""RMS normalisation over the last axis as LLaMA's, T5's and Gemma's exporters spell it out. Needs NormalizeArithmetic
and RecognizeUnary.

x / sqrt(mean(x * x) + epsilon) = rms_norm(x; 1), also as x * rsqrt(..), x * (1 / sqrt(..)) and x * (g * rsqrt(..));
rms_norm(x; w) * g = rms_norm(x; w * g).
"""

from dataclasses import dataclass

import numpy as np
from tvm import relax
from tvm.ir import IRModule

from .. import ops
from ..ops import shape_of
from ..rewriting.rule import RewriteGraph, rewrite
from .channel import channel_values, one_value
from .questions import constant, is_float, kept, known
from .recognize_layer_norm import factor_of, inverse_root, mean_of


@dataclass(frozen=True)
class RecognizeRmsNorm:
    """One operator instead of six; a mean over another axis, or of something else than the squares, stays spelled
    out."""

    def __call__(self, mod: IRModule) -> IRModule:
        """The module with one rms_norm for every spelling of it, a factor behind it in its weight."""
        return rewrite(mod, _recognize)


def _recognize(graph: RewriteGraph, call: relax.Call, var: relax.Var) -> relax.Expr | None:
    if not is_float(var) or not ops.is_op(call, "relax.divide", "relax.multiply"):
        return None
    if ops.is_op(call, "relax.divide"):
        return _normalized(graph, call.args[0], graph.unary(call.args[1], "sqrt"), None, var)
    if (value := constant(call.args[1])) is not None:
        return _scaled(graph, call, value, var)
    for x, gate in (call.args, reversed(call.args)):
        factor, gate = factor_of(graph, gate)
        found = _normalized(graph, x, inverse_root(graph, gate), factor, var)
        if found is not None:
            return found
    return None


def _normalized(
    graph: RewriteGraph, x: relax.Expr, root: relax.Expr | None, factor: relax.Expr | None, var: relax.Var
) -> relax.Expr | None:
    """rms_norm(x; factor or 1) if `root` is a function of mean(x * x) + epsilon over the last axis."""
    shifted = graph.match(root.args[0], "relax.add") if root is not None else None
    epsilon = one_value(constant(shifted.args[1])) if shifted is not None else None
    mean = mean_of(graph, shifted.args[0]) if shifted is not None and epsilon is not None else None
    square = graph.match(mean[0], "relax.multiply") if mean is not None else None
    shape = shape_of(var)
    if (
        shifted is None
        or mean is None
        or square is None
        or mean[1] != len(shape) - 1
        or not all(arg.same_as(x) for arg in square.args)
        or shape_of(x) != shape
    ):
        return None
    if shape_of(shifted.args[0]) != kept(shape, mean[1]):
        return None
    weight = np.ones(shape[-1], "float32") if factor is None else channel_values(known(factor), shape, -1)
    return None if weight is None else relax.op.nn.rms_norm(x, relax.const(weight), [-1], epsilon)


def _scaled(graph: RewriteGraph, call: relax.Call, value: np.ndarray, var: relax.Var) -> relax.Expr | None:
    norm = graph.match(call.args[0], "relax.nn.rms_norm")
    weight = constant(norm.args[1]) if norm is not None else None
    vector = channel_values(value, shape_of(var), -1)
    if weight is None or weight.ndim != 1 or vector is None or not graph.used_once(call.args[0]):
        return None
    return relax.op.nn.rms_norm(norm.args[0], relax.const(weight * vector), norm.attrs.axes, norm.attrs.epsilon)
