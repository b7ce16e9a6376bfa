"""Chains around a softmax that one kernel computes:

R.quantize(R.nn.softmax(octet.matmul(a, b) [* scale] [+ mask]), s, z)     attention's scores; z is 0 or -128
R.quantize(R.nn.softmax(R.dequantize(octet.matmul(a, b)) [..]), s, z)     scores that were rounded to int8 before
R.quantize(R.nn.softmax(x), s, z)
R.quantize(p * (1 / max(p)), s, z) with p = R.nn.softmax(...)             of either: each row over its largest value
R.quantize(R.where(R.isnan(p), 0, p), s, z)                               likewise: a row of nothing but -inf is 0

To int8 every softmax makes 0 of such a row, guarded or not: there is no code for a NaN.
"""

from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from tvm import relax

from .. import ops
from ..ops import shape_of
from ..rewriting.dataflow_graph import DataflowGraph

if TYPE_CHECKING:
    import tvm


@dataclass(frozen=True)
class SoftmaxParts:
    """What lies between the product and the int8 probabilities: [quantize and dequantize(codes)] [* scale] [+ mask],
    softmax, quantize(probability_scale, zero_point). codes: (scale, zero point) of a product whose result is int8."""

    scale: float | None
    mask: relax.Expr | None
    probability_scale: float
    zero_point: int
    codes: tuple[float, int] | None = None


@dataclass(frozen=True)
class Scores:
    """Attention's first product with its softmax; root: the int8 probabilities."""

    product: relax.Call
    parts: SoftmaxParts
    root: relax.Expr


@dataclass(frozen=True)
class Softmax:
    """Softmax of a float tensor with an int8 result."""

    source: relax.Expr
    probability_scale: float
    zero_point: int
    root: relax.Expr


class PeakScores(Scores):
    """Scores whose root holds each row's probabilities over their largest one."""


class CodedScores(Scores):
    """Scores that are rounded to int8 before anything else, as quantised files have them."""


class PeakSoftmax(Softmax):
    """A softmax without product whose root holds each row's probabilities over their largest one."""


def rank_of(expr: relax.Expr) -> int:
    """How many axes a tensor has."""
    return len(expr.ty.shape.values)


def only_quantized(graph: DataflowGraph, var: relax.Var) -> tuple[relax.Expr, float, int] | None:
    """(the int8 variable, scale, zero point) if the only reader of `var` quantises it per tensor."""
    users = graph.users(var)
    if len(users) != 1 or users[0] is None:
        return None
    found = border(graph, users[0], "relax.quantize", "int8")
    return None if found is None else (users[0], *found[1:])


def border(graph: DataflowGraph, var: relax.Expr, operator: str, dtype: str) -> tuple[relax.Var, float, int] | None:
    """(operand, scale, zero point) of a per-tensor R.quantize / R.dequantize with this result."""
    call = graph.definition(var)
    if not ops.is_op(call, operator) or str(call.ty.dtype) != dtype:
        return None
    scale, zero_point = (graph.constant(arg) for arg in call.args[1:3])
    if scale is None or zero_point is None or scale.size != 1 or zero_point.size != 1:
        return None
    return call.args[0], float(scale.reshape(())), int(zero_point.reshape(()))


def _over_peak(graph: DataflowGraph, p: relax.Var) -> Any:
    """(p * (1 / max(p)), the variables in between) where nothing else reads p or those; None where it is not so."""
    users = [user for user in graph.users(p) if user is not None]
    if len(users) != 2 or len(graph.users(p)) != 2:
        return None
    largest, peaks = sorted(users, key=graph.position)
    inverse = next(iter(graph.users(largest)), None)
    calls = [graph.definition(x) for x in (largest, inverse, peaks)]
    last = rank_of(p) - 1
    if (
        not ops.is_op(calls[0], "relax.max")
        or not ops.is_op(calls[1], "octet.unary")
        or not ops.is_op(calls[2], "relax.multiply")
    ):
        return None
    if (
        ops.attrs_of(calls[1])["kind"] != "reciprocal"
        or [axis % (last + 1) for axis in ops.attrs_of(calls[0])["axis"]] != [last]
        or not calls[2].args[1].same_as(inverse)
    ):
        return None
    return (peaks, [p, largest, inverse]) if graph.used_once(largest) and graph.used_once(inverse) else None


def _unguarded(graph: DataflowGraph, p: relax.Var) -> Any:
    """(where(isnan(p), 0, p), the variables in between) where nothing else reads p; None where it is not so."""
    users = [user for user in graph.users(p) if user is not None]
    if len(users) != 2 or len(graph.users(p)) != 2:
        return None
    asked, result = sorted(users, key=graph.position)
    call = graph.definition(result)
    if not ops.is_op(graph.definition(asked), "relax.isnan") or not ops.is_op(call, "relax.where"):
        return None
    instead = graph.constant(call.args[1])
    zero = call.args[0].same_as(asked) and call.args[2].same_as(p) and instead is not None and not instead.any()
    return (result, [p, asked]) if zero and graph.used_once(asked) and shape_of(result) == shape_of(p) else None


def softmax_chain(
    graph: DataflowGraph, var: relax.Var, call: relax.Call, able: Container[type]
) -> tuple[Scores | Softmax | None, Sequence[relax.Var]]:
    """(the chain around a softmax, the variables inside of it); (None, ()) where its result is not quantised. able:
    the chains that there are kernels for."""
    over_peak = _over_peak(graph, var)
    result, before = over_peak or _unguarded(graph, var) or (var, [])
    probabilities = only_quantized(graph, result)
    last = rank_of(var) - 1
    if ops.attrs_of(call)["axis"] % rank_of(var) != last or probabilities is None or probabilities[2] not in (0, -128):
        return None, ()
    root, scale, zero_point = probabilities
    source, members = call.args[0], [result, *before]
    known: dict[str, Any] = {"scale": None, "mask": None}
    for operator, key in (("relax.add", "mask"), ("relax.multiply", "scale")):
        inner = graph.definition(source)
        found = (
            _other_operand(graph, source, inner, key)
            if ops.is_op(inner, operator) and graph.used_once(source)
            else None
        )
        if found is not None:
            members.append(source)
            source, known[key] = found
    codes = border(graph, source, "relax.dequantize", "float32") if graph.used_once(source) else None
    kind = Scores if over_peak is None else PeakScores
    if codes is not None and over_peak is None:
        members.append(source)
        source, known["codes"], kind = codes[0], codes[1:], CodedScores
    product = graph.definition(source)
    if kind in able and ops.is_op(product, "octet.matmul") and graph.used_once(source):
        if ops.attrs_of(product)["out_dtype"] == "int8" if codes is not None else _floating(product):
            parts = SoftmaxParts(**known, probability_scale=scale, zero_point=zero_point)
            return kind(product, parts, root), [*members, source]
    return (Softmax if over_peak is None else PeakSoftmax)(call.args[0], scale, zero_point, root), [result, *before]


def _floating(call: relax.Call) -> bool:
    """Whether a product's sums are scaled, and nothing else."""
    attrs = ops.attrs_of(call)
    return attrs["out_dtype"] == "float32" and attrs["clip_min"] == -np.inf and attrs["clip_max"] == np.inf


def _other_operand(
    graph: DataflowGraph, var: relax.Var, call: relax.Call, key: str
) -> "tuple[relax.Var, tvm.ir.GenericConst | float] | None":
    """(the operand with the shape of the result, the other one: a mask, or the value of a uniform constant)."""
    for source, other in (call.args, list(call.args)[::-1]):
        constant = graph.constant(other)
        if shape_of(source) != shape_of(var) or graph.is_constant(source):
            continue
        if key == "scale":
            uniform = constant is not None and constant.size > 0 and np.all(constant == constant.reshape(-1)[0])
            return (source, float(constant.reshape(-1)[0])) if uniform else None
        shape = other.ty.shape.values
        if (
            len(shape)
            and int(shape[-1]) == int(var.ty.shape.values[-1])
            and ops.is_op(graph.definition(source), "octet.matmul", "relax.multiply", "relax.dequantize")
        ):
            return source, other
    return None
