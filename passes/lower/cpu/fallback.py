"""An operator without a kernel of its own: the operator itself on plain operands. TVM legalises it,
`targets/x86/fallback.py` schedules it.

Codes stay stored as u8 = s8 + 128 through operators that only move or compare them; every other operator gets int8 as
it is."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import tvm
from tvm import relax

from ....targets.x86.layout import AS_IS, Layout
from ...operators.registry import operators
from .value import Value

if TYPE_CHECKING:
    from .context import CpuContext


# Each value of the result is an operand's; padding and resizing may make values of their own.
_SELECT = {f"relax.{name}" for name in ("take", "gather_elements", "gather_nd", "where", "max", "min")}
_ALIKE = operators(lambda traits: traits.moves) - {"relax.nn.pad", "relax.image.resize2d", "octet.interleave"} | _SELECT


def fallback(context: "CpuContext", call: relax.Call) -> Value | tuple[Value, Value, Value] | tuple[Value, ...]:
    """The value of `call`, or a tuple of them."""
    context.fallbacks.append(call.op.name)
    shifted = call.op.name in _ALIKE and all(
        value.layout.dtype != AS_IS for arg in call.args for value in _values(arg, context)
    )
    args = [_operand(arg, context, shifted) for arg in call.args]
    emitted = context.builder.emit(relax.Call(call.op, args, call.attrs, call.ty_args), context.label())
    if isinstance(emitted.ty, relax.TupleType):
        fields = [context.builder.emit(relax.TupleGetItem(emitted, i)) for i in range(len(emitted.ty.fields))]
        return tuple(_value(field, old) for field, old in zip(fields, call.ty.fields))
    return _value(emitted, call.ty)


def _values(arg: relax.Expr, context: "CpuContext") -> Sequence[Value]:
    """The variables' values in an operand."""
    if isinstance(arg, relax.Tuple):
        return [value for field in arg.fields for value in _values(field, context)]
    found = context.values.get(arg, ()) if isinstance(arg, relax.Var) else ()
    return found if isinstance(found, tuple) else (found,)


def _operand(arg: relax.Expr, context: "CpuContext", shifted: bool) -> relax.Expr:
    if isinstance(arg, relax.Tuple):
        return relax.Tuple([_operand(field, context, shifted) for field in arg.fields])
    if isinstance(arg, tvm.ir.GenericConst):
        return context.plain(arg).var if shifted else arg
    if not isinstance(arg, relax.Var):
        return arg  # Shapes and scalars stay as they are.
    form = context.plain_of if shifted else context.as_is
    found = context.values.get(arg)
    return (
        relax.Tuple([form(value).var for value in found]) if isinstance(found, tuple) else form(context.find(arg)).var
    )


def _value(var: relax.Var, logical: relax.TensorType) -> Value:
    dtype = str(logical.dtype)
    return Value(
        var,
        Layout(
            "plain",
            tuple(int(d) for d in logical.shape.values),
            AS_IS if dtype == "int8" == str(var.ty.dtype) else dtype,
        ),
    )
