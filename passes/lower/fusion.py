"""Chains of operators that one kernel computes, around a row reduction or behind a layer:

    R.quantize(R.nn.softmax(octet.matmul(a, b) [* scale] [+ mask]), s, z)     attention's scores; z is 0 or -128
    R.quantize(R.nn.softmax(x), s, z)
    R.quantize(p * (1 / max(p)), s, z) with p = R.nn.softmax(...)             of either: each row over its largest value
    [R.quantize(] R.nn.layer_norm([R.dequantize(] x [)], gamma, beta) [, s, z)]       R.nn.rms_norm(x, gamma) likewise
    octet.table(octet.conv2d | octet.dense (...), values[256])                int8; where the processor permutes bytes
    R.quantize(octet.unary(x), s, z)                                          coarse, remainder: that nobody else reads
    R.quantize(R.astype(x), 1, -128)                                          of uint8 x: the codes of its values are
                                                                              stored as its bytes
    octet.lstm_state | octet.lstm_output(x + weights * [c, c, c, c], r, c)    peepholes.py

Inner results must be read once. The kernels round where the operators round, so nothing changes but the number of trips
through memory."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from tvm import relax

from .. import ops
from ..ops import shape_of
from ..rewriting.graph import DataflowGraph
from .peepholes import Peepholes, peepholes

if TYPE_CHECKING:
    import tvm


@dataclass(frozen=True)
class SoftmaxParts:
    """What lies between the product and the int8 probabilities: [* scale] [+ mask], softmax,
    quantize(probability_scale, zero_point)."""

    scale: float | None
    mask: relax.Expr | None
    probability_scale: float
    zero_point: int


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


class PeakSoftmax(Softmax):
    """A softmax without product whose root holds each row's probabilities over their largest one."""


@dataclass(frozen=True)
class LayerNorm:
    """Layer or RMS normalisation; source: QParams-like (scale, zero point) of an int8 operand or None, target: of an
    int8 result or None."""

    call: relax.Call
    operand: relax.Expr
    source: tuple[float, int] | None
    target: tuple[float, int] | None
    root: relax.Var


@dataclass(frozen=True)
class TableBehind:
    """A convolution or linear layer whose int8 results are indices into a table; values: int8[256]."""

    var: relax.Var
    layer: relax.Call
    values: np.ndarray
    root: relax.Var


@dataclass(frozen=True)
class QuantizedFunction:
    """A function of a float tensor of which only the int8 codes are read."""

    call: relax.Expr
    scale: float
    zero_point: int
    root: relax.Expr


@dataclass(frozen=True)
class Pixels:
    """uint8 integers as int8 codes of scale 1, which are stored with 128 added: no byte changes."""

    source: relax.Expr
    root: relax.Expr


Root = relax.Expr | None  # A chain is found by its last variable.
CHAINS = frozenset(
    {Scores, Softmax, PeakScores, PeakSoftmax, LayerNorm, TableBehind, QuantizedFunction, Pixels, Peepholes}
)


def find_fusions(main: relax.Function, able: frozenset[type] = CHAINS) -> tuple[dict[Root, Any], set[Root]]:
    """({last variable of a chain: the chain}, the variables inside chains). able: the chains that a backend has kernels
    for; a table behind a layer is cheap only where the processor permutes bytes."""
    graph = DataflowGraph(main)
    found: dict[Root, Any] = {}
    inner: set[Root] = set()
    chain: Any
    for var, value in graph.bindings:
        if ops.is_op(value, "relax.nn.softmax"):
            chain, members = _softmax(graph, var, value)
        elif ops.is_op(value, *ops.NORMS):
            chain, members = _layer_norm(graph, var, value)
        elif ops.is_op(value, "octet.table"):
            chain, members = _table_behind(graph, var, value)
        elif ops.is_part(value):
            chain, members = _quantized_function(graph, var, value)
        elif ops.is_op(value, "relax.astype") and str(value.args[0].ty.dtype) == "uint8":
            chain, members = _pixels(graph, var, value)
        elif ops.is_op(value, "octet.lstm_state", "octet.lstm_output"):
            chain, members = peepholes(graph, var, value)
        else:
            continue
        if type(chain) in able:
            found[chain.root] = chain
            inner.update(members)
    return found, inner


def _rank(expr: relax.Expr) -> int:
    return len(expr.ty.shape.values)


def _quantized(graph: DataflowGraph, var: relax.Var) -> tuple[relax.Expr, float, int] | None:
    """(the int8 variable, scale, zero point) if the only reader of `var` quantises it per tensor."""
    users = graph.users(var)
    if len(users) != 1 or users[0] is None:
        return None
    found = _border(graph, users[0], "relax.quantize", "int8")
    return None if found is None else (users[0], *found[1:])


def _border(graph: DataflowGraph, var: relax.Expr, operator: str, dtype: str) -> tuple[relax.Var, float, int] | None:
    """(operand, scale, zero point) of a per-tensor R.quantize / R.dequantize with this result."""
    call = graph.definition(var)
    if not ops.is_op(call, operator) or str(call.ty.dtype) != dtype:
        return None
    scale, zero_point = (graph.constant(arg) for arg in call.args[1:3])
    if scale is None or zero_point is None or scale.size != 1 or zero_point.size != 1:
        return None
    return call.args[0], float(scale.reshape(())), int(zero_point.reshape(()))


def _pixels(graph: DataflowGraph, var: relax.Var, call: relax.Call) -> Sequence[Any]:
    quantized = _quantized(graph, var)
    if quantized is None or quantized[1:] != (1.0, -128):
        return None, ()
    return Pixels(call.args[0], quantized[0]), [var]


def _over_peak(graph: DataflowGraph, p: relax.Var) -> Any:
    """(p * (1 / max(p)), the variables in between) where nothing else reads p or those; None where it is not so."""
    users = [user for user in graph.users(p) if user is not None]
    if len(users) != 2 or len(graph.users(p)) != 2:
        return None
    largest, peaks = sorted(users, key=graph.position)
    inverse = next(iter(graph.users(largest)), None)
    calls = [graph.definition(x) for x in (largest, inverse, peaks)]
    last = _rank(p) - 1
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


def _softmax(
    graph: DataflowGraph, var: relax.Var, call: relax.Call
) -> tuple[Scores | Softmax | None, Sequence[relax.Var]]:
    over_peak = _over_peak(graph, var)
    result, before = over_peak if over_peak is not None else (var, [])
    quantized = _quantized(graph, result)
    if ops.attrs_of(call)["axis"] % _rank(var) != _rank(var) - 1 or quantized is None or quantized[2] not in (0, -128):
        return None, ()
    root, scale, zero_point = quantized
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
    product = graph.definition(source)
    if (
        ops.is_op(product, "octet.matmul")
        and graph.used_once(source)
        and ops.attrs_of(product)["out_dtype"] == "float32"
        and _unclipped(product)
    ):
        parts = SoftmaxParts(**known, probability_scale=scale, zero_point=zero_point)
        return (Scores if over_peak is None else PeakScores)(product, parts, root), [*members, source]
    return (Softmax if over_peak is None else PeakSoftmax)(call.args[0], scale, zero_point, root), [result, *before]


def _unclipped(call: relax.Call) -> bool:
    attrs = ops.attrs_of(call)
    return attrs["clip_min"] == -np.inf and attrs["clip_max"] == np.inf


def _other_operand(
    graph: DataflowGraph, var: relax.Var, call: relax.Call, key: str
) -> "tuple[relax.Var, tvm.ir.GenericConst | float] | None":
    """(the operand with the shape of the result, the other one: a mask, or the value of a uniform constant)."""
    for source, other in (call.args, list(call.args)[::-1]):
        constant = graph.constant(other)
        if shape_of(source) != shape_of(var) or graph.constant(source) is not None:
            continue
        if key == "scale":
            uniform = constant is not None and constant.size > 0 and np.all(constant == constant.reshape(-1)[0])
            return (source, float(constant.reshape(-1)[0])) if uniform else None
        shape = other.ty.shape.values
        if (
            len(shape)
            and int(shape[-1]) == int(var.ty.shape.values[-1])
            and ops.is_op(graph.definition(source), "octet.matmul", "relax.multiply")
        ):
            return source, other
    return None


def _layer_norm(graph: DataflowGraph, var: relax.Var, call: relax.Call) -> Sequence[Any]:
    attrs = ops.attrs_of(call)
    if (
        _rank(var) == 1
        or [axis % _rank(var) for axis in attrs["axes"]] != [_rank(var) - 1]
        or any(graph.constant(arg) is None for arg in call.args[1:])
    ):
        return None, ()
    members, operand, source, target, root = [], call.args[0], None, None, var
    dequantized = _border(graph, operand, "relax.dequantize", "float32")
    if dequantized is not None and graph.used_once(operand) and str(dequantized[0].ty.dtype) == "int8":
        members.append(operand)
        operand, source = dequantized[0], dequantized[1:]
    quantized = _quantized(graph, var)
    if quantized is not None:
        members.append(var)
        root, target = quantized[0], quantized[1:]
    return LayerNorm(call, operand, source, target, root), members


def _quantized_function(
    graph: DataflowGraph, var: relax.Var, call: relax.Expr
) -> tuple[QuantizedFunction | None, Sequence[relax.Var]]:
    quantized = _quantized(graph, var)
    if quantized is None or _rank(var) not in (2, 3, 4):
        return None, ()
    root, scale, zero_point = quantized
    return QuantizedFunction(call, scale, zero_point, root), [var]


def _table_behind(
    graph: DataflowGraph, var: relax.Var, call: relax.Call
) -> tuple[TableBehind | None, Sequence[relax.Var]]:
    source, values = call.args[0], graph.constant(call.args[1])
    layer = graph.definition(source)
    if (
        not ops.is_op(layer, "octet.conv2d", "octet.dense")
        or not graph.used_once(source)
        or str(layer.ty.dtype) != "int8"
        or values.ndim != 1
    ):
        return None, ()
    return TableBehind(source, layer, values, var), [source]
