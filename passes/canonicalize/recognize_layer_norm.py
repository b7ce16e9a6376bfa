"""Layer normalisation over the last axis as exporters before opset 17 spell it out, and over the channels of images.
Needs NormalizeArithmetic and RecognizeUnary.

d = x - mean(x);  d / sqrt(mean(d * d) + epsilon) = layer_norm(x; 1, 0)
layer_norm(x; 1, 0) * g = layer_norm(x; g, 0);  layer_norm(x; g, 0) + b = layer_norm(x; g, b)

Over axis 1 of [N, C, ...] the channels go last and come back, which is
nothing where they lie last in memory. As JAX, flax and TensorFlow write it, mean(x) = sum(x) * 1/n, mean(d * d) =
max(mean(x * x) - mean(x)^2, 0), means are reshaped where they dropped their axis, and d * (1 / sqrt(..) * g).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from tvm import relax
from tvm.ir import IRModule

from .. import ops
from ..ops import shape_of
from ..rewriting.rule import RewriteGraph, rewrite
from .channel import channel_values, one_value
from .clips import bounds
from .questions import channels_last, channels_second, constant, is_float, kept, known, without_reshape


@dataclass(frozen=True)
class RecognizeLayerNorm:
    """One operator instead of nine; a mean over other axes or several stays spelled out."""

    def __call__(self, mod: IRModule) -> IRModule:
        """The module with one layer_norm for every spelling of it, scale and shift of what follows in it."""
        return rewrite(mod, _recognize)


def _recognize(graph: RewriteGraph, call: relax.Call, var: relax.Var) -> relax.Expr | None:
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
            factor, gate = factor_of(graph, gate)
            found = _normalized(graph, centred, inverse_root(graph, gate), var)
            if found is not None:
                return found if factor is None else _scaled(graph, found, factor, var)
    return None


def _scaled(graph: RewriteGraph, norm: relax.Expr, factor: relax.Expr, var: relax.Var) -> relax.Expr:
    product = relax.op.multiply(graph.emit(norm), factor)
    merged = _affine(graph, product, known(factor), var)
    return product if merged is None else merged


def factor_of(graph: RewriteGraph, gate: relax.Expr) -> tuple[relax.Expr | None, relax.Expr]:
    """(g, rest) where the gate is rest * g for a constant g, else (None, gate)."""
    scaled = graph.match(gate, "relax.multiply")
    return (
        (scaled.args[1], scaled.args[0])
        if scaled is not None and constant(scaled.args[1]) is not None
        else (None, gate)
    )


def inverse_root(graph: RewriteGraph, gate: relax.Expr) -> relax.Expr | None:
    """The call whose argument stands under the root in 1 / sqrt(..)."""
    root = graph.unary(gate, "rsqrt")
    if root is not None:
        return root
    inverse = graph.unary(gate, "reciprocal")
    return graph.unary(inverse.args[0], "sqrt") if inverse is not None else None


def _normalized(graph: RewriteGraph, centred: relax.Expr, root: relax.Expr | None, var: relax.Var) -> relax.Expr | None:
    """layer_norm(x; 1, 0) if `centred` is x - mean(x) and `root` a function of mean(centred^2) + epsilon."""
    shifted = graph.match(root.args[0], "relax.add") if root is not None else None
    epsilon = one_value(constant(shifted.args[1])) if shifted is not None else None
    difference = graph.match(centred, "relax.subtract")
    if shifted is None or epsilon is None or difference is None:
        return None
    x, mean = difference.args[0], mean_of(graph, difference.args[1])
    if (
        mean is None
        or not mean[0].same_as(x)
        or shape_of(x) != shape_of(var)
        or shape_of(difference.args[1]) != kept(shape_of(x), mean[1])
    ):
        return None
    if not _is_variance(graph, shifted.args[0], x, centred, mean[1]) or shape_of(shifted.args[0]) != kept(
        shape_of(x), mean[1]
    ):
        return None
    axis = mean[1]
    width = shape_of(x)[axis]
    return _over(
        graph, x, axis, relax.const(np.ones(width, "float32")), relax.const(np.zeros(width, "float32")), epsilon
    )


def _over(
    graph: RewriteGraph, x: relax.Expr, axis: int, gamma: relax.Expr, beta: relax.Expr, epsilon: float
) -> relax.Expr:
    """layer_norm over one axis, which is the last one or goes there and comes back."""
    rank = len(shape_of(x))
    if axis == rank - 1:
        return relax.op.nn.layer_norm(x, gamma, beta, [-1], epsilon)
    last = graph.emit(relax.op.permute_dims(x, channels_last(rank)))
    return relax.op.permute_dims(
        graph.emit(relax.op.nn.layer_norm(last, gamma, beta, [-1], epsilon)), channels_second(rank)
    )


def _is_variance(graph: RewriteGraph, expr: relax.Expr, x: relax.Expr, centred: relax.Expr, axis: int) -> bool:
    """mean(centred^2), or mean(x^2) - mean(x)^2, which may be kept from being negative, over `axis`."""
    mean = mean_of(graph, expr)
    if mean is not None:
        return mean[1] == axis and _is_square(graph, mean[0], lambda root: root.same_as(centred))
    expr = without_reshape(graph, expr)
    if bounds(graph.value(expr)) == (0.0, np.inf):
        expr = graph.value(expr).args[0]
    difference = graph.match(without_reshape(graph, expr), "relax.subtract")
    mean = mean_of(graph, difference.args[0]) if difference is not None else None
    return (
        mean is not None
        and mean[1] == axis
        and _is_square(graph, mean[0], lambda root: root.same_as(x))
        and _is_square(
            graph,
            difference.args[1],
            lambda root: (of := mean_of(graph, root)) is not None and of[0].same_as(x) and of[1] == axis,
        )
    )


def _is_square(graph: RewriteGraph, expr: relax.Expr, accepts: Callable[[relax.Expr], bool]) -> bool:
    square = graph.match(without_reshape(graph, expr), "relax.multiply")
    return square is not None and all(accepts(arg) for arg in square.args)


def mean_of(graph: RewriteGraph, expr: relax.Expr) -> tuple[relax.Expr, int] | None:
    """(what a mean is taken of, its axis), which is the last one, or 1 of a tensor with more behind it; reshapes that
    put an axis of 1 back are no part of it."""
    expr = without_reshape(graph, expr)
    mean, scaled = graph.match(expr, "relax.mean"), graph.match(expr, "relax.multiply")
    if scaled is not None:
        mean = graph.match(without_reshape(graph, scaled.args[0]), "relax.sum")
    if mean is None or mean.attrs.axis is None or len(mean.attrs.axis) != 1:
        return None
    rank = len(shape_of(mean.args[0]))
    axis = int(mean.attrs.axis[0]) % rank
    factor = one_value(constant(scaled.args[1])) if scaled is not None else None
    if scaled is not None and (
        factor is None or not np.isclose(factor * shape_of(mean.args[0])[axis], 1, rtol=1e-6, atol=0)
    ):
        return None
    return (mean.args[0], axis) if axis == rank - 1 or axis == 1 and rank in (3, 4) else None


def _affine(graph: RewriteGraph, call: relax.Call, value: np.ndarray, var: relax.Var) -> relax.Expr | None:
    back, axis, rank = graph.match(call.args[0], "relax.permute_dims"), -1, len(shape_of(var))
    if (
        back is not None
        and back.attrs.axes is not None
        and [int(a) for a in back.attrs.axes] == channels_second(rank)
        and rank in (3, 4)
    ):
        axis = 1
    norm = graph.match(call.args[0] if axis == -1 else back.args[0], "relax.nn.layer_norm")
    gamma, beta = (constant(arg) for arg in norm.args[1:]) if norm is not None else (None, None)
    if gamma is None or beta is None or beta.any() or gamma.ndim != 1 or not graph.used_once(call.args[0]):
        return None
    if axis == 1 and (not graph.used_once(back.args[0]) or [int(a) % rank for a in norm.attrs.axes] != [rank - 1]):
        return None
    vector = channel_values(value, shape_of(var), axis)
    if vector is None or len(norm.attrs.axes) != 1:
        return None
    gamma, beta = (gamma * vector, beta) if ops.is_op(call, "relax.multiply") else (gamma, vector)
    changed = relax.op.nn.layer_norm(
        norm.args[0], relax.const(gamma), relax.const(beta), norm.attrs.axes, norm.attrs.epsilon
    )
    return changed if axis == -1 else relax.op.permute_dims(graph.emit(changed), channels_second(rank))
