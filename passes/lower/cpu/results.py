"""The network's results: each is written by a kernel of its own, straight into the array that the caller gets.

return x, R.reshape(x), constant, y, y, z   ==>   return copy(x), copy(x), copy(constant), y, copy(y), copy(z)
x: a parameter; z: a part of a tensor, or one that has parts, which is read at an offset: that only the arena has
"""

from typing import TYPE_CHECKING, Any

import tvm
from tvm import relax

from ....targets.x86.movement.copy import copy
from ..linearize import ALIASES, PART

if TYPE_CHECKING:
    from .context import CpuContext
    from .value import Value


def own_results(values: "list[Value]", ctx: "CpuContext") -> "list[Value]":
    """The results, each written by a kernel of its own: inputs, constants and repeated tensors, under whatever shape,
    are copied. values: plain tensors, in the order of the results."""
    taken, results = set(), []
    for value in values:
        source = kernel_result(ctx.builder, value.var)
        if source is None or source in taken or source in ctx.parted:
            value = ctx.emit(copy(value.layout), [value], value.layout, "copy")
        else:
            taken.add(source)
        results.append(value)
    return results


def kernel_result(builder: relax.BlockBuilder, expr: relax.Expr) -> Any:
    """What identifies the storage that a kernel wrote, or None: an input or a constant; of a part that of the whole."""
    if isinstance(expr, tvm.ir.GenericConst):
        return None
    bound = builder.lookup_binding(expr)
    if isinstance(bound, relax.TupleGetItem):
        found = kernel_result(builder, bound.tuple_value)
        return None if found is None else (found, bound.index)
    if isinstance(bound, (relax.Var, tvm.ir.GenericConst)):
        return kernel_result(builder, bound)
    if isinstance(bound, relax.Call):
        return kernel_result(builder, bound.args[0]) if bound.op.name in (*ALIASES, PART) else expr
    return None
