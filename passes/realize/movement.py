"""Operators that only move data stay themselves, on int8 tensors of one scale and zero point:

    R.quantize(move(dq(a), dq(b), ...), s, z)  ->  move(a', b', ...)        a', b' = a, b requantised to (s, z) where
                                                                            they differ

Maximum pooling and elementwise maximum/minimum belong here: quantisation is monotone, so it commutes with them.
A constant border (R.nn.pad, octet.interleave, octet.frame) is filled with the quantised fill, for 0 the zero point.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from tvm import relax

from .. import ops
from ..operators.registry import operators
from ..rewriting.dataflow_graph import rebuild_expr
from .linear import Refused

if TYPE_CHECKING:
    from .realize import Realizer
    from .requantize import TensorQParams

MOVING = operators(lambda traits: traits.moves) - {"relax.split"}  # `_realize_part` takes the pieces of a split.
# Fewer values are left behind these, so it is cheaper to requantise there.
SHRINKING = operators(lambda traits: traits.shrinks)


def is_movement(call: relax.Expr | None) -> bool:
    """Whether the operator copies elements (or takes maxima) and computes nothing."""
    if ops.is_op(call, "relax.image.resize2d"):
        return ops.attrs_of(call)["method"] == "nearest_neighbor"
    return ops.is_op(call, *MOVING)


def realize_movement(context: "Realizer", var: relax.Var, out: "TensorQParams") -> Refused | relax.Expr | None:
    """`var` on the scale and zero point `out`; Refused, or None if `var` computes."""
    definition = context.graph.definition(var)
    if isinstance(definition, relax.TupleGetItem):
        return _realize_part(context, var, definition, out)
    if not is_movement(definition):
        return None
    params = out
    if ops.is_op(definition, *SHRINKING):
        source = context.source(definition.args[0])
        params = out if source is None else source.qparams
    refusals = []

    def int8(operand: relax.Expr) -> relax.Expr:
        if operand.ty.dtype != "float32":
            return operand  # Indices stay as they are.
        value = context.int8(operand, params)
        if isinstance(value, Refused):
            refusals.append(value)
            return operand
        return value

    moved = rebuild_int8(definition, int8, params)
    if refusals:
        return refusals[0]
    return context.convert(context.emit(moved, var.name), params, out, var.name)


def rebuild_int8(call: relax.Expr, int8: Callable[[relax.Expr], relax.Expr], params: "TensorQParams") -> relax.Expr:
    """The call on int8 operands, with what depends on the type (fill values, result types) translated."""
    if ops.is_op(call, "relax.nn.pad"):
        attrs = ops.attrs_of(call)
        fill = int(params.quantize(attrs["pad_value"]))
        return relax.op.nn.pad(int8(call.args[0]), attrs["pad_width"], attrs["pad_mode"], fill)
    if ops.is_op(call, "relax.image.resize2d"):
        attrs = ops.attrs_of(call)
        attrs.pop("out_dtype")
        return relax.op.image.resize2d(int8(call.args[0]), call.args[1], **attrs)
    if ops.is_op(call, "octet.interleave"):
        attrs = ops.attrs_of(call)
        return ops.call(
            "octet.interleave", [int8(call.args[0])], strides=attrs["strides"], fill=int(params.quantize(attrs["fill"]))
        )
    if ops.is_op(call, "octet.frame"):
        attrs = ops.attrs_of(call)
        return ops.call(
            "octet.frame", [int8(call.args[0])], padding=attrs["padding"], fill=params.quantize(attrs["fill"]).tolist()
        )
    return rebuild_expr(call, int8)


def _realize_part(
    context: "Realizer", var: relax.Var, definition: relax.Expr, out: "TensorQParams"
) -> Refused | relax.Expr | None:
    """One result of a split."""
    split = context.graph.definition(definition.tuple_value)
    if not ops.is_op(split, "relax.split"):
        return None
    source = context.source(split.args[0])
    params = out if source is None else source.qparams
    parts = context.remember(
        definition.tuple_value, params, lambda: _split(context, definition.tuple_value, split, params)
    )
    if isinstance(parts, Refused):
        return parts
    part = context.emit(relax.TupleGetItem(parts, definition.index), var.name)
    return context.convert(part, params, out, var.name)


def _split(context: "Realizer", var: relax.Var, split: relax.Expr, params: "TensorQParams") -> Refused | relax.Expr:
    value = context.int8(split.args[0], params)
    if isinstance(value, Refused):
        return value
    return context.emit(rebuild_expr(split, lambda _: value), var.name)
