"""Matches a convolution or linear layer with its epilogue: clip(conv(x, w) + bias [+ residual]).

    relax.nn.conv2d | relax.matmul(x, constant)  ->  R.add(., constant[O])*  ->  [R.add(., residual)]  ->
            (R.nn.relu | R.nn.relu6 | R.clip)*

Inner results must be used once: what somebody else reads as well cannot disappear into a kernel.
"""

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any

import numpy as np
from tvm import relax

from .. import ops
from ..ops import shape_of

if TYPE_CHECKING:
    from tvm import tirx

    from ..rewriting.dataflow_graph import DataflowGraph


@dataclass(frozen=True)
class Chain:
    """A linear layer with what its kernel computes behind it: bias, residual sum, clip.

    root: the variable of the convolution or matmul; call: its value; bias: float32 [O] or None; residual: an operand
    or None."""

    root: relax.Var
    call: relax.Call
    bias: np.ndarray | None
    residual: relax.Expr | None
    low: float
    high: float


def number_of(expr: "tirx.Expr") -> float:
    """The Python number of a literal operand."""
    return float(expr.value)


def clip_bounds(graph: "DataflowGraph", call: relax.Expr | None) -> tuple[relax.Var, float, float] | None:
    """(operand, low, high) of a ReLU, ReLU6 or clip, or of a maximum/minimum with a scalar constant; None for anything
    else."""
    if ops.is_op(call, "relax.nn.relu"):
        return call.args[0], 0.0, inf
    if ops.is_op(call, "relax.nn.relu6"):
        return call.args[0], 0.0, 6.0
    if ops.is_op(call, "relax.clip"):
        return call.args[0], number_of(call.args[1]), number_of(call.args[2])
    if ops.is_op(call, "relax.maximum", "relax.minimum"):
        for operand, other in (call.args, reversed(call.args)):
            bound = graph.constant(other)
            if bound is not None and bound.size == 1 and shape_of(operand) == shape_of(call):
                bound = float(bound.reshape(()))
                return (operand, bound, inf) if ops.is_op(call, "relax.maximum") else (operand, -inf, bound)
    return None


def peel_clips(graph: "DataflowGraph", expr: relax.Expr) -> tuple[relax.Expr, float, float]:
    """(inner, low, high): `expr` = min(max(inner, low), high). Stops at an inner value that others use too, unless it
    is dequantised."""
    low, high = -inf, inf
    while True:
        found = clip_bounds(graph, graph.definition(expr))
        if found is None:
            return expr, low, high
        inner, inner_low, inner_high = found
        if not graph.used_once(inner) and not ops.is_op(graph.definition(inner), "relax.dequantize"):
            return expr, low, high
        low, high = (min(max(bound, low), high) for bound in (inner_low, inner_high))
        expr = inner


def match_chain(graph: "DataflowGraph", expr: relax.Expr) -> Chain | None:
    """The Chain that ends in `expr`, or None."""
    core, low, high = peel_clips(graph, expr)
    direct = _biased(graph, core)
    if direct is not None:
        return Chain(direct[0], direct[1], direct[2], None, low, high)
    call = graph.definition(core)
    if not ops.is_op(call, "relax.add"):
        return None
    by_age = sorted(call.args, key=graph.position, reverse=True)  # The younger operand absorbs the older one.
    for operand, residual in (by_age, by_age[::-1]):
        found = _biased(graph, operand) if graph.used_once(operand) else None
        if found is not None and shape_of(operand) == shape_of(residual):
            return Chain(found[0], found[1], found[2], residual, low, high)
    return None


def _biased(graph: "DataflowGraph", expr: relax.Expr) -> Any:
    """(root, call, bias) if `expr` is a layer plus constants per channel, else None."""
    biases: list[Any] = []
    while isinstance(expr, relax.Var):
        call = graph.definition(expr)
        axis = _channel_axis(graph, call)
        if axis is not None:
            channels = shape_of(call)[axis]
            biases = [values_along(bias, len(shape_of(call)), axis, channels) for bias in biases]
            if any(bias is None for bias in biases):
                return None
            return expr, call, np.sum(biases, axis=0, dtype=np.float32) if biases else None
        if not ops.is_op(call, "relax.add"):
            return None
        constants = [graph.constant(arg) for arg in call.args]
        if sum(constant is None for constant in constants) != 1:
            return None
        inner = call.args[0] if constants[0] is None else call.args[1]
        if not graph.used_once(inner) or shape_of(inner) != shape_of(call):
            return None
        biases.append(constants[1] if constants[0] is None else constants[0])
        expr = inner
    return None


def _channel_axis(graph: "DataflowGraph", call: relax.Expr | None) -> int | None:
    """The output's channel axis if `call` is a convolution or a matmul with a constant matrix."""
    if ops.is_op(call, "relax.nn.conv2d") and graph.is_constant(call.args[1]):
        attrs = ops.attrs_of(call)
        return (
            1
            if (attrs["data_layout"], attrs["kernel_layout"], attrs["out_layout"]) == ("NCHW", "OIHW", "NCHW")
            else None
        )
    if ops.is_op(call, "relax.matmul") and len(shape_of(call.args[0])) >= 2:
        weight = call.args[1]
        return len(shape_of(call)) - 1 if len(shape_of(weight)) == 2 and graph.is_constant(weight) else None
    return None


def values_along(value: np.ndarray, rank: int, axis: int, extent: int) -> np.ndarray | None:
    """A constant that broadcasts over everything but `axis` as float32 [extent]; None if it varies elsewhere."""
    if value.ndim > rank:
        return None
    shape = [1] * (rank - value.ndim) + list(value.shape)
    if any(size != 1 for position, size in enumerate(shape) if position != axis) or shape[axis] not in (1, extent):
        return None
    return np.broadcast_to(value.reshape(-1).astype(np.float32), (extent,)).copy()
