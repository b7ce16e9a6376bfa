"""Clips, in one form: bounds as Python floats, [0, inf] spelled R.nn.relu."""

import math

from tvm import relax

from .. import ops


def bounds(call: relax.Expr) -> tuple[float, float] | None:
    """The bounds of R.clip or R.nn.relu; None for any other operator."""
    if ops.is_op(call, "relax.nn.relu"):
        return 0.0, math.inf
    if ops.is_op(call, "relax.clip"):
        low, high = (float(bound.value) for bound in call.args[1:])
        return low, high
    return None


def make_clip(x: relax.Expr, low: float, high: float) -> relax.Expr:
    """x clipped to [low, high]; x itself where neither bound does anything."""
    if (low, high) == (-math.inf, math.inf):
        return x
    return relax.op.nn.relu(x) if (low, high) == (0.0, math.inf) else relax.op.clip(x, low, high)
