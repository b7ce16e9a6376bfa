"""Which operators of a graph treat the samples of a batch apart, and where the samples lie in every tensor.

    x [B, ..] batched on axis 0, y = f(x), f without Mixes   ==>   f(x of samples m..n) = samples m..n of y

Behind an operator that mixes samples, or that no rule knows, a tensor whose outermost extent is a multiple of the batch
starts afresh: what follows may be done in parts again, whatever that axis means."""

from dataclasses import dataclass, field
from typing import Any

import tvm
from tvm import relax

from ...ops import shape_of
from ...rewriting.dataflow_graph import DataflowGraph
from .rules import RULES, BatchOperands
from .sample_axis import BatchAxis, Mixes, first_axis


@dataclass(frozen=True)
class BatchGraph:
    """What is known of a batch's way through a network.

    graph: the function's. axes: where each variable holds the samples (of a tuple: of all its fields), None where it
    holds none. mixing: {variable: why its operator must see the whole batch}. sliced: {variable: {tensor operand:
    axis}} of constants that repeat for every sample."""

    graph: DataflowGraph
    batch: int
    axes: dict[relax.Var, Any] = field(default_factory=dict)
    mixing: dict[relax.Var, str] = field(default_factory=dict)
    sliced: dict[relax.Var, dict[int, BatchAxis]] = field(default_factory=dict)


def tensors_of(call: relax.Expr) -> list[relax.Expr]:
    """The tensor operands of a call, tuples opened."""
    found = []
    for arg in call.args:
        fields = arg.fields if isinstance(arg, relax.Tuple) else [arg]
        found += [
            each
            for each in fields
            if isinstance(each, (relax.Var, tvm.ir.GenericConst)) and isinstance(each.ty, relax.TensorType)
        ]
    return found


def analyze(function: relax.Function, batch: int) -> BatchGraph:
    """How a function's tensors hold the samples. batch: extent of the first axis of the parameters that hold samples;
    above 1."""
    graph = DataflowGraph(function)
    batched = BatchGraph(graph, batch)
    for param in function.params:
        batched.axes[param] = first_axis(shape_of(param)[:1], batch)
    for var, value in graph.bindings:
        try:
            batched.axes[var] = _through(value, var, batched)
        except Mixes as mixes:
            batched.mixing[var] = str(mixes)
            batched.axes[var] = first_axis(shape_of(var), batch) if isinstance(var.ty, relax.TensorType) else None
    return batched


def _through(value: relax.Expr, var: relax.Var, batched: BatchGraph) -> BatchAxis | None:
    if isinstance(value, relax.TupleGetItem):
        if batched.axes[value.tuple_value] is None:
            batched.mixing[var] = "part of a result of the whole batch"
            return first_axis(shape_of(var), batched.batch)
        return batched.axes[value.tuple_value]
    if isinstance(value, relax.Tuple):
        return None
    if not isinstance(value, relax.Call) or value.op.name not in RULES:
        raise Mixes("has no rule")
    tensors = tensors_of(value)
    axes = [batched.axes.get(tensor) if isinstance(tensor, relax.Var) else None for tensor in tensors]
    if all(axis is None for axis in axes):
        raise Mixes("does not depend on the batch")
    sliced: dict[int, BatchAxis] = {}
    axis = RULES[value.op.name](BatchOperands(value, batched.batch, tensors, axes, sliced))
    for ty in var.ty.fields if isinstance(var.ty, relax.TupleType) else [var.ty]:
        shape = tuple(int(extent) for extent in ty.shape.values)
        if axis.axis >= len(shape) or shape[axis.axis] != axis.extent(batched.batch):
            raise Mixes("changes the extent of the batch")
    if sliced:
        batched.sliced[var] = sliced
    return axis
