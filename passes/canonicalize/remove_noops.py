"""Operators that do nothing, or undo each other.

reshape(x) to x's shape, astype to x's dtype, permute_dims by the identity, pad by 0, a whole slice, concat of one, add
0, multiply 1 = x; reshape(reshape(x)) = reshape(x); permute_dims(permute_dims(x)) = one permute_dims; expand_dims,
squeeze, flatten = reshape; two reshapes of one value to one shape are one; permute_dims that only moves extents of 1 =
reshape; take of all places in order = reshape.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from tvm import relax
from tvm.ir import Call, IRModule

from .. import ops
from ..ops import permutation, shape_of
from ..rewriting.rule import RewriteGraph, rewrite
from .questions import constant

_RESHAPES = ("relax.reshape", "relax.expand_dims", "relax.squeeze", "relax.flatten")


Reshaped = dict[tuple[Any, ...], relax.Expr]  # Maps (a tensor, *the shape wanted) to the tensor in that shape.


@dataclass(frozen=True)
class RemoveNoops:
    """Drops identities and merges neighbouring reshapes and transposes."""

    def __call__(self, mod: IRModule) -> IRModule:
        """The module without operators whose result is an operand, or the result of another operator."""
        reshaped: Reshaped = {}
        return rewrite(mod, lambda graph, call, var: _simplify(graph, call, var, reshaped))


def _simplify(graph: RewriteGraph, call: relax.Expr, var: relax.Var, reshaped: Reshaped) -> relax.Expr | None:
    if not isinstance(call, Call) or not isinstance(var.ty, relax.TensorType):
        return None
    if ops.is_op(call, *_RESHAPES):
        return _reshape(graph, call, var, reshaped)
    if ops.is_op(call, "relax.permute_dims"):
        return _permute(graph, call, var)
    if ops.is_op(call, "relax.concat"):
        fields = graph.value(call.args[0]).fields
        return fields[0] if len(fields) == 1 else None
    if ops.is_op(
        call,
        "relax.astype",
        "relax.nn.dropout",
        "relax.nn.pad",
        "relax.strided_slice",
        "relax.broadcast_to",
        "relax.tile",
    ):
        same = shape_of(call.args[0]) == shape_of(var) and call.args[0].ty.dtype == var.ty.dtype
        return call.args[0] if same and not _moves(call) else None
    if ops.is_op(call, "relax.take"):
        taken, extent = constant(call.args[1]), shape_of(call.args[0])[call.attrs.axis or 0]
        in_order = taken is not None and np.array_equal(taken.reshape(-1), np.arange(extent))
        return _reshape(graph, call, var, reshaped) if in_order else None
    if ops.is_op(call, "relax.add", "relax.multiply"):
        value = constant(call.args[1])
        neutral = 0 if ops.is_op(call, "relax.add") else 1
        unchanged = value is not None and shape_of(call.args[0]) == shape_of(var) and bool(np.all(value == neutral))
        return call.args[0] if unchanged else None
    return None


def _moves(call: relax.Call) -> bool:
    # A slice of the input's shape may still reverse an axis; a pad may be -1 and +1.
    if ops.is_op(call, "relax.strided_slice"):
        return len(call.args) > 4 and any(int(step.value) < 0 for step in call.args[4].fields)
    return ops.is_op(call, "relax.nn.pad") and any(int(w) for w in call.attrs.pad_width)


def _reshape(graph: RewriteGraph, call: relax.Call, var: relax.Var, reshaped: Reshaped) -> relax.Expr:
    """The first operand in the shape of the result."""
    source = call.args[0]
    inner = graph.match(source, *_RESHAPES)
    while inner is not None:
        source, inner = inner.args[0], graph.match(inner.args[0], *_RESHAPES)
    if shape_of(source) == shape_of(var):
        return source
    key = (source, *shape_of(var))
    if key not in reshaped:
        reshaped[key] = graph.emit(relax.op.reshape(source, shape_of(var)), like=var)
    return reshaped[key]


def _permute(graph: RewriteGraph, call: relax.Call, var: relax.Var) -> relax.Expr:
    rank = len(shape_of(var))
    axes, source = permutation(call), call.args[0]
    inner = graph.match(source, "relax.permute_dims")
    if inner is not None:
        before = permutation(inner)
        axes, source = [before[a] for a in axes], inner.args[0]
    if axes == list(range(rank)):
        return source
    kept = [a for a in axes if shape_of(source)[a] != 1]
    if kept == sorted(kept):
        return relax.op.reshape(source, shape_of(var))
    return relax.op.permute_dims(source, axes)
