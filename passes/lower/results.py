"""The network's results: each is written by a kernel of its own, straight into the array that the caller gets.

    return x, R.reshape(x), constant, y, y   ==>   return copy(x), copy(x), copy(constant), y, copy(y)          x: a parameter
"""

import tvm
from tvm import relax

from ...targets.x86.movement.copy import copy
from .program import ALIASES


def own_results(values, ctx):
    """values: plain tensors, in the order of the results. Inputs, constants and repeated tensors, under whatever shape, are copied."""
    taken, results = set(), []
    for value in values:
        source = _kernel_result(ctx.builder, value.var)
        if source is None or source in taken:
            value = ctx.emit(copy(value.layout), [value], value.layout, "copy")
        else:
            taken.add(source)
        results.append(value)
    return results


def _kernel_result(builder, expr):
    """What identifies the storage that a kernel wrote, or None: an input or a constant."""
    if isinstance(expr, tvm.ir.GenericConst):
        return None
    bound = builder.lookup_binding(expr)
    if isinstance(bound, relax.TupleGetItem):
        found = _kernel_result(builder, bound.tuple_value)
        return None if found is None else (found, bound.index)
    if isinstance(bound, (relax.Var, tvm.ir.GenericConst)):
        return _kernel_result(builder, bound)
    if isinstance(bound, relax.Call):
        return _kernel_result(builder, bound.args[0]) if bound.op.name in ALIASES else expr
    return None
