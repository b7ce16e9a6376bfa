"""The operands of elementwise operators, brought into the layout of the result."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ....targets.x86.elementwise.integer import CHANNEL, SHARED, STREAM
from ....targets.x86.layout import packed, sure
from ....targets.x86.movement.broadcast import BroadcastProblem, broadcast
from ....targets.x86.reformat.constant import pack_constant
from ...ops import shape_of

if TYPE_CHECKING:
    from tvm import relax

    from .context import CpuContext
    from .value import Value


def broadcast_operands(call: "relax.Call", ctx: "CpuContext") -> "Sequence[Any]":
    """(first, second, how, swapped): `first` lies like the result; `second` is STREAM, CHANNEL or SHARED
    (targets/x86/elementwise/integer.py).

    Whatever is broadcast in another way is written out in full. swapped: `second` is call.args[0]. Operands are Values
    or packed arrays."""
    shape, dtype = shape_of(call), str(call.ty.dtype)
    shapes = [_ranked(arg, len(shape)) for arg in call.args]
    constant = [ctx.constant(arg) is not None for arg in call.args]
    swapped = shapes[0] != shape or (shapes[1] == shape and constant[0] and not constant[1])
    first, second = (1, 0) if swapped else (0, 1)
    left = _full(call.args[first], shapes[first], shape, ctx, dtype)
    right, how = _second(call.args[second], shapes[second], shape, ctx, dtype)
    return left, right, how, swapped


def images_of(shape: tuple[int, ...]) -> int:
    """The leading axis of a tensor whose operands may differ per image; 1 for a matrix."""
    return shape[0] if len(shape) > 2 else 1


def _ranked(arg: "relax.Expr", rank: int) -> tuple[int, ...]:
    shape = shape_of(arg)
    return (1,) * (rank - len(shape)) + shape


def _second(
    arg: "relax.Expr", own: tuple[int, ...], shape: tuple[int, ...], ctx: "CpuContext", dtype: str
) -> "tuple[Value | np.ndarray, str]":
    if own == shape:
        return _full(arg, own, shape, ctx, dtype), STREAM
    channel = 1 if len(shape) == 4 else len(shape) - 1
    constant, rank = ctx.constant(arg), len(arg.ty.shape.values)
    per_channel = own[channel] == shape[channel] and all(
        own[axis] == 1 for axis in range(1, len(shape)) if axis != channel
    )
    if constant is not None and (constant.size == 1 or (per_channel and own[0] == 1)):
        vector = np.broadcast_to(constant.reshape(-1), (1, shape[channel]))
        return pack_constant(sure(packed((1, shape[channel]), dtype)), vector), SHARED
    if constant is None and per_channel and rank == len(shape) and own[0] == 1:
        return ctx.packed(arg), SHARED
    if constant is None and per_channel and rank == len(shape) and own[0] == images_of(shape):
        return ctx.packed(arg), CHANNEL
    return _full(arg, own, shape, ctx, dtype), STREAM


def _full(
    arg: "relax.Expr", own: tuple[int, ...], shape: tuple[int, ...], ctx: "CpuContext", dtype: str
) -> "Value | np.ndarray":
    """The operand written out in the shape and layout of the result."""
    layout = sure(packed(shape, dtype))
    constant = ctx.constant(arg)
    if constant is not None:
        return pack_constant(layout, np.broadcast_to(constant.reshape(own), shape))
    same_rank = len(arg.ty.shape.values) == len(shape)
    if own == shape and same_rank:
        return ctx.packed(arg)
    value = ctx.packed(arg) if same_rank else ctx.plain(arg)
    return ctx.emit(broadcast(BroadcastProblem(value.layout, own, layout)), [value], layout, "broadcast")
