"""A constant factor behind a rectified layer moves into the layer: relu(L(x; w) + b) * s = relu(L(x; w * |s|) + b *
|s|) * sign(s).

For a BatchNormalization behind the activation (layer, ReLU, normalisation: usual in speech networks). Behind a
rectifier that hardly ever fires it holds a factor of some hundreds; in the next layer's weights, which have one scale
for all input channels, that would leave the other channels nothing. In the layer in front it costs nothing, as weights
have a scale per output channel, and the rectified tensor becomes as even as training made it. Runs after FoldAffine;
the factor stands in front of the rectifier afterwards, where the next FoldAffine takes it, and signs are left to
FoldAffineForward.
"""

from dataclasses import dataclass

import numpy as np
from tvm import relax
from tvm.ir import Call, IRModule

from .. import ops
from ..operators.registry import operators
from ..ops import shape_of
from ..rewriting.rule import RewriteGraph, rewrite
from .channel import channel_values
from .questions import constant, is_float

_HOMOGENEOUS = operators(lambda traits: traits.homogeneous and traits.elementwise == 1)


@dataclass(frozen=True)
class FoldAffineThroughRelu:
    """Applies only where layer, bias and rectifier have no other user and the factor is finite."""

    def __call__(self, mod: IRModule) -> IRModule:
        """The module with the magnitudes of factors behind rectifiers in the layers in front; of a factor only its sign
        stays."""
        return rewrite(mod, _fold)


def _fold(graph: RewriteGraph, call: relax.Call, var: relax.Var) -> relax.Expr | None:
    if not ops.is_op(call, "relax.multiply") or not is_float(var):
        return None
    x, factor = call.args[0], constant(call.args[1])
    rectifier = graph.match(x, *_HOMOGENEOUS)
    if factor is None or rectifier is None or shape_of(x) != shape_of(var) or not graph.used_once(x):
        return None
    layer = _layer(graph, rectifier.args[0])
    if layer is None:
        return None
    axis = 1 if ops.is_op(layer, "relax.nn.conv2d") else -1
    vector = channel_values(factor, shape_of(x), axis)
    if vector is None or np.all(np.abs(vector) == 1) or not np.isfinite(vector).all():
        return None
    shape = [1] * len(shape_of(x))
    shape[axis] = -1
    before = graph.emit(relax.op.multiply(rectifier.args[0], relax.const(np.abs(vector).reshape(shape))), like=None)
    rectified = graph.emit(
        Call(rectifier.op, [before, *rectifier.args[1:]], rectifier.attrs, rectifier.ty_args), like=x
    )
    return (
        relax.op.multiply(rectified, relax.const(np.where(vector < 0, np.float32(-1), np.float32(1)).reshape(shape)))
        if np.any(vector < 0)
        else rectified
    )


def _layer(graph: RewriteGraph, x: relax.Expr) -> relax.Expr | None:
    """The layer with constant weights that makes x, with or without a bias; None if there is none or others use it."""
    if not graph.used_once(x):
        return None
    add = graph.match(x, "relax.add")
    if add is not None and constant(add.args[1]) is not None:
        x = add.args[0]
    layer = graph.match(x, "relax.nn.conv2d", "relax.matmul")
    weight = constant(layer.args[1]) if layer is not None else None
    return (
        layer
        if weight is not None and graph.used_once(x) and (weight.ndim == 2 or ops.is_op(layer, "relax.nn.conv2d"))
        else None
    )
