"""matmul(x, W) with a constant W of leading extents 1 = matmul(x, W [K, N]); the constant added to it, if per column,
gets the shape [N].

The constant added to a convolution, if per channel, gets the shape [1, O, 1, 1]; so does every other per-channel
constant of an add or multiply on rank 4. A lone number that is no bias (the factor of an attention's scores) is a
scalar. Needs NormalizeArithmetic (constants second) and FoldConstants (transposed weights).
"""

from dataclasses import dataclass

import numpy as np
from tvm import relax
from tvm.ir import IRModule

from .. import ops
from ..ops import shape_of
from ..rewriting.rule import RewriteGraph, rewrite
from .channel import channel_values, one_value
from .questions import constant, is_float


@dataclass(frozen=True)
class NormalizeDense:
    """One shape for every weight and bias, so that later passes match a bias by its shape alone."""

    def __call__(self, mod: IRModule) -> IRModule:
        """The module whose constant weights have the shape [K, N], and constants per channel [N] or [1, O, 1, 1]."""
        return rewrite(mod, _normalize)


def _normalize(graph: RewriteGraph, call: relax.Call, var: relax.Var) -> relax.Expr | None:
    if not is_float(var) or not ops.is_op(call, "relax.matmul", "relax.add", "relax.multiply"):
        return None
    value, x = constant(call.args[1]), call.args[0]
    if value is None or isinstance(x.ty, relax.ShapeType):
        return None
    if ops.is_op(call, "relax.matmul"):
        flat = value.ndim > 2 and all(extent == 1 for extent in value.shape[:-2]) and len(shape_of(x)) >= value.ndim
        return relax.op.matmul(x, relax.const(value.reshape(value.shape[-2:]))) if flat else None
    if shape_of(x) != shape_of(var) or not shape_of(x):
        return None
    dense, conv = graph.match(x, "relax.matmul"), graph.match(x, "relax.nn.conv2d")
    layer = conv is not None or (dense is not None and constant(dense.args[1]) is not None)
    if one_value(value) is not None and not (layer and ops.is_op(call, "relax.add")):
        return _rebuild(call, x, value.reshape(())) if value.ndim else None
    axis, shape = (-1, [-1]) if len(shape_of(x)) != 4 or dense is not None else (1, [1, -1, 1, 1])
    vector = channel_values(value, shape_of(x), axis)
    if vector is None or list(value.shape) == list(vector.reshape(shape).shape):
        return None
    return _rebuild(call, x, vector.reshape(shape))


def _rebuild(call: relax.Call, x: relax.Expr, value: np.ndarray) -> relax.Expr:
    op = relax.op.add if ops.is_op(call, "relax.add") else relax.op.multiply
    return op(x, relax.const(value))
