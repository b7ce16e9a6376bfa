"""Layer normalisation over the last axis as exporters before opset 17 spell it out. Needs NormalizeArithmetic and RecognizeUnary.

d = x - mean(x);  d / sqrt(mean(d * d) + epsilon) = layer_norm(x; 1, 0);   layer_norm(x; 1, 0) * g = layer_norm(x; g, 0);
layer_norm(x; g, 0) + b = layer_norm(x; g, b).
"""

from dataclasses import dataclass

import numpy as np
from tvm import relax
from tvm.ir import IRModule

from .. import ops
from .channel import per_channel, scalar
from .graph import constant, is_float, rewrite, shape_of


@dataclass(frozen=True)
class RecognizeLayerNorm:
    """One operator instead of nine; a mean over other axes stays spelled out."""

    def __call__(self, mod: IRModule) -> IRModule:
        return rewrite(mod, _recognize)


def _recognize(graph, call, var):
    if not is_float(var) or not ops.is_op(call, "relax.divide", "relax.multiply", "relax.add"):
        return None
    if ops.is_op(call, "relax.divide"):
        root = graph.unary(call.args[1], "sqrt")
        return _normalized(graph, call.args[0], root, var)
    value = constant(call.args[1])
    if value is not None:
        return _affine(graph, call, value, var)
    if ops.is_op(call, "relax.multiply"):
        for centred, gate in (call.args, reversed(call.args)):
            found = _normalized(graph, centred, _inverse_root(graph, gate), var)
            if found is not None:
                return found
    return None


def _inverse_root(graph, gate):
    """The call whose argument stands under the root in 1 / sqrt(..)."""
    root = graph.unary(gate, "rsqrt")
    if root is not None:
        return root
    inverse = graph.unary(gate, "reciprocal")
    return graph.unary(inverse.args[0], "sqrt") if inverse is not None else None


def _normalized(graph, centred, root, var):
    """layer_norm(x; 1, 0) if `centred` is x - mean(x) and `root` a function of mean(centred^2) + epsilon."""
    shifted = graph.match(root.args[0], "relax.add") if root is not None else None
    epsilon = scalar(constant(shifted.args[1])) if shifted is not None else None
    variance = _mean(graph, shifted.args[0]) if epsilon is not None else None
    square = graph.match(variance, "relax.multiply") if variance is not None else None
    difference = graph.match(centred, "relax.subtract")
    if square is None or difference is None or not all(arg.same_as(centred) for arg in square.args):
        return None
    x, mean = difference.args[0], _mean(graph, difference.args[1])
    if mean is None or not mean.same_as(x) or shape_of(x) != shape_of(var):
        return None
    width = shape_of(x)[-1]
    return relax.op.nn.layer_norm(x, relax.const(np.ones(width, "float32")), relax.const(np.zeros(width, "float32")), [-1], epsilon)


def _mean(graph, expr):
    """What a mean over the last axis (kept) is taken of."""
    mean = graph.match(expr, "relax.mean")
    if mean is None or not mean.attrs.keepdims or mean.attrs.axis is None:
        return None
    rank = len(shape_of(mean.args[0]))
    return mean.args[0] if [int(axis) % rank for axis in mean.attrs.axis] == [rank - 1] else None


def _affine(graph, call, value, var):
    norm = graph.match(call.args[0], "relax.nn.layer_norm")
    gamma, beta = (constant(arg) for arg in norm.args[1:]) if norm is not None else (None, None)
    if gamma is None or beta is None or beta.any() or gamma.ndim != 1 or not graph.used_once(call.args[0]):
        return None
    vector = per_channel(value, shape_of(var), -1)
    if vector is None or len(norm.attrs.axes) != 1:
        return None
    gamma, beta = (gamma * vector, beta) if ops.is_op(call, "relax.multiply") else (gamma, vector)
    return relax.op.nn.layer_norm(norm.args[0], relax.const(gamma), relax.const(beta), norm.attrs.axes, norm.attrs.epsilon)
