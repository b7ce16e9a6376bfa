"""Averages and maxima over the whole picture in one form.

mean(x, axes of H and W in any order or sign) = mean(x, [2, 3], keepdims=True), reshaped where keepdims was False;
max(x, the same axes) = max_pool2d with a window of the whole extent; avg_pool2d with such a window and no padding = the
mean; avg_pool2d without padding counts valid elements only.
"""

from dataclasses import dataclass

from tvm import relax
from tvm.ir import IRModule

from .. import ops
from ..ops import shape_of
from ..rewriting.rule import RewriteGraph, rewrite
from .questions import is_float


@dataclass(frozen=True)
class NormalizePooling:
    """Applies to tensors of rank 4; means over other axes stay as they are."""

    def __call__(self, mod: IRModule) -> IRModule:
        """The module whose averages of whole pictures are mean(axis=[2, 3], keepdims=True), and whose maxima are
        max_pool2d."""
        return rewrite(mod, _normalize)


def _normalize(graph: RewriteGraph, call: relax.Call, var: relax.Var) -> relax.Expr | None:
    if not ops.is_op(call, "relax.mean", "relax.max", "relax.nn.avg_pool2d") or not is_float(var):
        return None
    shape = shape_of(call.args[0])
    if len(shape) != 4:
        return None
    attrs = call.attrs
    if ops.is_op(call, "relax.mean", "relax.max"):
        if attrs.axis is None or sorted(int(a) % 4 for a in attrs.axis) != [2, 3]:
            return None
        if ops.is_op(call, "relax.mean"):
            pooled = relax.op.mean(call.args[0], [2, 3], keepdims=True)
        else:
            pooled = relax.op.nn.max_pool2d(call.args[0], list(shape[2:]), [1, 1], [0, 0, 0, 0])
        return pooled if attrs.keepdims else relax.op.reshape(graph.emit(pooled, like=var), shape[:2])
    padded = any(int(p) for p in attrs.padding)
    if not padded and tuple(int(k) for k in attrs.pool_size) == shape[2:]:
        return relax.op.mean(call.args[0], [2, 3], keepdims=True)
    if not padded and attrs.count_include_pad:
        return relax.op.nn.avg_pool2d(
            call.args[0], attrs.pool_size, attrs.strides, attrs.padding, attrs.dilation, False, False
        )
    return None
