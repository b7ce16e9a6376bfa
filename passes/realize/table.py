"""A function of one quantised tensor, element by element, becomes a table of its 256 values:

    R.quantize(f(dq(x)), s, z)  ->  octet.table(x, t)        t[.., q + 128] = quantise(f(dequantise(q)))

    R.quantize(f(R.astype(x)), s, z)  ->  the same of x itself: int8, or uint8 as R.quantize(R.astype(x), 1, -128)
A table of every code itself is no operator: its codes are those of x.

f is any expression of scalar operators whose only tensor is x; constants are scalars or run along axis 1 (then t is
int8 [C, 256]). The values come from the referee's own float32 functions, so a table and the float operator agree to the
bit.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from tvm import relax

from .. import ops
from ..operators.registry import operators
from ..ops import QMAX, QMIN, is_tensor, shape_of
from ..referee.reference import evaluate, value_of
from .linear import Refused
from .requantize import TensorQParams

if TYPE_CHECKING:
    import tvm

    from ..rewriting.dataflow_graph import DataflowGraph
    from .realize import Realizer

Source = tuple[relax.Expr, TensorQParams]  # An int8 variable of the new function, and what it stands for.
_SCALAR = operators(lambda traits: traits.real_function)


def realize_table(context: "Realizer", var: relax.Var, out: "TensorQParams") -> Refused | relax.Expr | None:
    """`var` as octet.table (or its quantised source, where it is no function at all); Refused, or None if it has no
    single source."""
    graph = context.graph
    leaves: list[Source] = []
    order: list[relax.Expr] = []
    if not _collect(context, var, leaves, order) or not order:
        return None
    if len(set(leaves)) != 1:
        return None
    value, params = leaves[0]
    shape = shape_of(value)
    if any(shape_of(step) != shape for step in order):
        return None  # A constant made it larger.
    channels = _channels(graph, order, shape)
    if channels is None:
        return Refused("its constants vary along another axis than the channel")
    if channels > 1 and all(ops.is_op(graph.definition(step), "relax.maximum", "relax.minimum") for step in order):
        return None  # Bounds per channel need no look-ups: see movement.py.
    table = _evaluate(context, var, order, params, channels, len(shape))
    table = out.quantize(table.reshape(256, channels).T)
    table = table[0] if np.all(table == table[0]) else table
    if np.array_equal(table, np.arange(QMIN, QMAX + 1)):
        return value  # Other numbers, the same codes.
    return context.emit(ops.call("octet.table", [value, relax.const(np.ascontiguousarray(table), "int8")]), var.name)


def _collect(context: "Realizer", expr: relax.Expr, leaves: list[Source], order: list[relax.Expr]) -> bool:
    """Gathers the sources of `expr` and the scalar operators above them, operands first. False if something else
    computes it."""
    graph = context.graph
    if expr in order:
        return True
    source = context.source(expr)
    if source is not None:
        leaves.append((source.value, source.qparams))
        return True
    call = graph.definition(expr)
    if ops.is_op(call, "relax.astype") and str(call.args[0].ty.dtype) in ("int8", "uint8"):
        leaves.append(_integers(context, expr, call))
        return True
    if not isinstance(expr, relax.Var) or not ops.is_op(call, *_SCALAR):
        return False
    for arg in call.args:
        if is_tensor(arg) and not graph.is_constant(arg) and not _collect(context, arg, leaves, order):
            return False
    order.append(expr)
    return True


def _integers(context: "Realizer", expr: relax.Var, call: relax.Call) -> Source:
    """Integers of 8 bits, made float, as codes of their own numbers."""
    if str(call.args[0].ty.dtype) == "int8":
        return context.float(call.args[0]), TensorQParams(1.0, 0)
    params = TensorQParams(1.0, QMIN)
    scale, zero = relax.const(np.float32(params.scale)), relax.const(np.int8(params.zero_point))
    pixels = context.remember(
        expr,
        params,
        lambda: context.emit(relax.op.quantize(context.float(expr), scale, zero, axis=-1, out_dtype="int8"), expr.name),
    )
    assert isinstance(pixels, relax.Expr), "integers become codes"
    return pixels, params


def _channels(graph: "DataflowGraph", order: list[relax.Expr], shape: tuple[int, ...]) -> int | None:
    """1 if every constant is a scalar, C if some run along axis 1 of a [N, C] or [N, C, H, W] tensor, else None."""
    channels = 1
    for var in order:
        call = graph.definition(var)
        for arg in call.args:
            constant = graph.constant(arg) if is_tensor(arg) else None
            if constant is None or constant.size == 1:
                continue
            if len(shape) not in (2, 4) or constant.size != shape[1]:
                return None
            if ops.is_op(call, "relax.nn.prelu"):
                fits = ops.attrs_of(call)["axis"] % len(shape) == 1
            else:
                fits = (
                    constant.ndim >= len(shape) - 1 and constant.shape[constant.ndim - len(shape) + 1] == constant.size
                )
            if not fits:
                return None
            channels = shape[1]
    return channels


def _evaluate(
    context: "Realizer", var: relax.Var, order: list[relax.Expr], params: "TensorQParams", channels: int, rank: int
) -> np.ndarray:
    """float32 [256, C, 1, ..]: the value of `var` for every q, in the order of q."""
    codes = np.arange(QMIN, QMAX + 1).astype(np.int8)
    shape = (256,) + (channels,) * (rank > 1) + (1,) * (rank - 2)
    start = np.broadcast_to(params.dequantize(codes).reshape(256, *[1] * (len(shape) - 1)), shape)
    graph = context.graph
    values: dict[relax.Expr, Any] = {}

    def operand(arg: "tvm.ir.GenericConst") -> np.ndarray | float | Sequence[np.ndarray | int]:
        if not is_tensor(arg):
            return value_of(arg, {})
        constant = graph.constant(arg)
        return values[arg] if arg in values else start if constant is None else constant

    for step in order:
        call = graph.definition(step)
        with np.errstate(all="ignore"):
            values[step] = evaluate(call, [operand(arg) for arg in call.args])
    return values[var]
