"""Chains of operators that one kernel computes, around a row reduction or behind a layer:

    R.quantize(R.nn.softmax(...), s, z)                                       softmax_chains.py
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
from typing import Any

import numpy as np
from tvm import relax

from .. import ops
from ..rewriting.dataflow_graph import DataflowGraph
from .peepholes import Peepholes, peepholes
from .softmax_chains import (
    CodedScores,
    PeakScores,
    PeakSoftmax,
    Scores,
    Softmax,
    border,
    only_quantized,
    rank_of,
    softmax_chain,
)


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
    {
        Scores,
        CodedScores,
        Softmax,
        PeakScores,
        PeakSoftmax,
        LayerNorm,
        TableBehind,
        QuantizedFunction,
        Pixels,
        Peepholes,
    }
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
            chain, members = softmax_chain(graph, var, value, able)
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


def _pixels(graph: DataflowGraph, var: relax.Var, call: relax.Call) -> Sequence[Any]:
    codes = only_quantized(graph, var)
    if codes is None or codes[1:] != (1.0, -128):
        return None, ()
    return Pixels(call.args[0], codes[0]), [var]


def _layer_norm(graph: DataflowGraph, var: relax.Var, call: relax.Call) -> Sequence[Any]:
    attrs = ops.attrs_of(call)
    if (
        rank_of(var) == 1
        or [axis % rank_of(var) for axis in attrs["axes"]] != [rank_of(var) - 1]
        or any(not graph.is_constant(arg) for arg in call.args[1:])
    ):
        return None, ()
    members, operand, source, target, root = [], call.args[0], None, None, var
    dequantized = border(graph, operand, "relax.dequantize", "float32")
    if dequantized is not None and graph.used_once(operand) and str(dequantized[0].ty.dtype) == "int8":
        members.append(operand)
        operand, source = dequantized[0], dequantized[1:]
    codes = only_quantized(graph, var)
    if codes is not None:
        members.append(var)
        root, target = codes[0], codes[1:]
    return LayerNorm(call, operand, source, target, root), members


def _quantized_function(
    graph: DataflowGraph, var: relax.Var, call: relax.Expr
) -> tuple[QuantizedFunction | None, Sequence[relax.Var]]:
    codes = only_quantized(graph, var)
    if codes is None or rank_of(var) not in (2, 3, 4):
        return None, ()
    root, scale, zero_point = codes
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
