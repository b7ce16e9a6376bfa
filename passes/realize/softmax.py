"""Softmax of a quantised tensor, over the last axis, by a table of exponentials:

R.quantize(R.nn.softmax([c *] dq(x)), s, z)  ->  octet.softmax(x, table)
        1 / s: 127 with z = 0, or 255 with z = -128
"""

from typing import TYPE_CHECKING

import numpy as np
from tvm import relax

from ...targets.softmax_table import LEVELS, softmax_table
from .. import ops
from ..ops import shape_of
from .linear import Refused

if TYPE_CHECKING:
    from .realize import Int8Source, Realizer
    from .requantize import TensorQParams

_MOST_COLUMNS = 2**16 - 1


def realize_softmax(
    context: "Realizer", var: relax.Expr, low: float, high: float, out: "TensorQParams"
) -> Refused | relax.Expr | None:
    """`var` as octet.softmax; Refused, or None if it is no softmax of a quantised tensor (then it stays in float)."""
    call = context.graph.definition(var)
    if not ops.is_op(call, "relax.nn.softmax"):
        return None
    source, scale = _source(context, call.args[0])
    if source is None:
        return None
    shape = shape_of(call)
    levels = round(1 / float(out.scale))
    zero_point = 0 if levels == 127 else -128
    if levels not in LEVELS or np.float32(1 / levels) != np.float32(out.scale) or out.zero_point != zero_point:
        return Refused("tables make probabilities in steps of 1/127 or 1/255")
    if low > 0 or high < levels * float(out.scale):
        return Refused("tables make probabilities from 0 to 1, unclipped")
    if ops.attrs_of(call)["axis"] % len(shape) != len(shape) - 1 or shape[-1] > _MOST_COLUMNS:
        return Refused(f"tables do softmax over the last axis, of {_MOST_COLUMNS} elements at most")
    table = softmax_table(float(np.float32(source.qparams.scale)) * scale)
    return context.emit(
        ops.call("octet.softmax", [source.value, relax.const(table)], levels=levels, out_zero_point=zero_point),
        var.name,
    )


def _source(context: "Realizer", expr: relax.Var) -> "tuple[Int8Source | None, float]":
    """(the quantised tensor or None, the positive number that it is multiplied by)."""
    source = context.source(expr)
    call = context.graph.definition(expr)
    if source is not None or not ops.is_op(call, "relax.multiply"):
        return source, 1.0
    constants = [context.graph.constant(arg) for arg in call.args]
    known = next((constant for constant in constants if constant is not None), None)
    if known is None or known.size != 1 or not float(known.reshape(())) > 0:
        return None, 1.0
    inner = next((arg for arg, constant in zip(call.args, constants) if constant is None), None)
    return (None if inner is None or shape_of(inner) != shape_of(call) else context.source(inner)), float(
        known.reshape(())
    )
