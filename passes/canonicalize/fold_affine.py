"""A constant factor or term behind a layer moves into it.

multiply(L(x; w) + b, s) = L(x; w * s) + b * s
add(add(y, b), c) = add(y, b + c);   multiply(multiply(y, s), t) = multiply(y, s * t)

for a convolution or linear layer L, s per output channel. This is how BatchNormalization is folded: needs
ConvertBatchNorm, ConvertConv1d, LiftRank3 and ConvertTransposedConv, and NormalizeArithmetic (constants second).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from tvm import relax
from tvm.ir import Call, IRModule

from .. import ops
from ..ops import shape_of
from ..rewriting.rule import RewriteGraph, rewrite
from .channel import channel_values
from .questions import constant, is_float


@dataclass(frozen=True)
class FoldAffine:
    """Folds backwards; a layer whose result is also used elsewhere keeps its weights, and the factor stays an operator
    of its own."""

    def __call__(self, mod: IRModule) -> IRModule:
        """The module with constant factors and terms in the weights and biases of the layers in front of them."""
        return rewrite(mod, _fold)


def _fold(graph: RewriteGraph, call: relax.Call, var: relax.Var) -> relax.Expr | None:
    if not ops.is_op(call, "relax.multiply", "relax.add") or not is_float(var):
        return None
    x, value = call.args[0], constant(call.args[1])
    if value is None or shape_of(x) != shape_of(var):
        return None
    if ops.is_op(call, "relax.add"):
        return _merge(graph, relax.op.add, x, value, "relax.add", lambda a, b: a + b)
    merged = _merge(graph, relax.op.multiply, x, value, "relax.multiply", lambda a, b: a * b)
    return merged if merged is not None else _scale_layer(graph, x, value, var)


def _merge(
    graph: RewriteGraph,
    op: Callable[..., relax.Call],
    x: relax.Expr,
    value: np.ndarray,
    name: str,
    combine: Callable[..., np.ndarray],
) -> relax.Expr | None:
    inner = graph.match(x, name)
    first = constant(inner.args[1]) if inner is not None else None
    if first is None or not graph.used_once(x) or shape_of(inner.args[0]) != shape_of(x):
        return None
    axis = 1 if len(shape_of(x)) == 4 else -1
    # A bias stays a bias: a term that also varies along other axes (a position embedding) must not swallow it.
    if (
        shape_of(x)
        and any(channel_values(c, shape_of(x), axis) is None for c in (first, value))
        and combine(first, value).size > first.size
    ):
        return None
    return op(inner.args[0], relax.const(combine(first, value)))


def _scale_layer(graph: RewriteGraph, x: relax.Expr, value: np.ndarray, var: relax.Var) -> relax.Expr | None:
    bias, layer_var = None, x
    add = graph.match(x, "relax.add")
    if add is not None and (bias := constant(add.args[1])) is not None:
        layer_var = add.args[0]
    layer = graph.match(layer_var, "relax.nn.conv2d", "relax.matmul")
    weight = constant(layer.args[1]) if layer is not None else None
    if weight is None:
        return None
    is_conv = ops.is_op(layer, "relax.nn.conv2d")
    axis = 1 if is_conv else -1
    scale = channel_values(value, shape_of(x), axis)
    shift = channel_values(bias, shape_of(x), axis) if bias is not None else None
    if scale is None or (bias is not None and shift is None) or (not is_conv and weight.ndim != 2):
        return None
    if not graph.used_once(x) or not graph.used_once(layer_var):
        graph.note(
            f"{var.name}: the factor behind {layer_var.name} was not folded: the layer's result is also used elsewhere"
        )
        return None
    scaled = relax.const(weight * (scale.reshape(-1, 1, 1, 1) if is_conv else scale))
    new = Call(layer.op, [layer.args[0], scaled], layer.attrs, layer.ty_args)
    layer_var = graph.emit(new, like=layer_var)
    if shift is None:
        return layer_var
    return relax.op.add(layer_var, relax.const((shift * scale).reshape([1, -1, 1, 1] if is_conv else [-1])))
