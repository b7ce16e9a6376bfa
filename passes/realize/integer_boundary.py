"""IntegerBoundary: the caller quantises.

    a parameter x, float32, that R.quantize(x, s, z) alone reads, with one s and z   ->
            a parameter of int8, which stands for R.quantize(x, s, z)
    R.dequantize(q, s, z) of int8 as a result                                        ->   q as the result

Runs on a realised, float-fused network, where callers ask for it. A parameter that another operator reads, or with
several scales, and a result that an operator computes in float stay float32: `boundary_of` says which are which."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import tvm
from tvm import relax

from .. import ops
from ..rewriting.dataflow_graph import DataflowGraph
from ..rewriting.forward import Forward
from ..rewriting.function import replace_main
from .requantize import TensorQParams, qparams


@dataclass(frozen=True)
class Boundary:
    """Which inputs and outputs of a network are int8 codes.

    inputs, outputs: of the parameters and results that are int8, by their number. reasons: why a parameter stays
    float32, by its name."""

    inputs: Mapping[int, TensorQParams]
    outputs: Mapping[int, TensorQParams]
    reasons: Mapping[str, str]


@dataclass(frozen=True)
class IntegerBoundary:
    """The pass that lets a network take and give int8 codes where its graph begins and ends with them."""

    def __call__(self, mod: tvm.IRModule) -> tvm.IRModule:
        """The module whose inputs and outputs are int8 where they were quantized first, or dequantized last."""
        return replace_main(mod, _Walk(mod["main"]).run())


def boundary_of(mod: tvm.IRModule) -> Boundary:
    """What IntegerBoundary makes int8 of a network."""
    graph = DataflowGraph(mod["main"])
    inputs, reasons = {}, {}
    for number, param in enumerate(graph.function.params):
        if str(param.ty.dtype) != "float32":
            continue
        scale = _scales(graph, param)
        if isinstance(scale, str):
            reasons[param.name] = scale
        else:
            inputs[number] = scale
    results = {number: _result_scale(graph, field) for number, field in enumerate(_fields(graph))}
    return Boundary(inputs, {number: scale for number, scale in results.items() if scale is not None}, reasons)


def _scales(graph: DataflowGraph, param: relax.Expr) -> TensorQParams | str:
    """The QParams with which everybody quantises a parameter, or why there are none."""
    scales: set[Any] = set()
    for user in graph.users(param):
        call = None if user is None else graph.definition(user)
        if not isinstance(call, relax.Call):
            return "it is a result, or joined with others"
        if not ops.is_op(call, "relax.quantize") or ops.attrs_of(call)["out_dtype"] != "int8":
            return f"{call.op.name.removeprefix('relax.')} reads it in float"
        scales.add(qparams(graph.constant(call.args[1]), graph.constant(call.args[2])))
    if None in scales or not scales:
        return "nothing reads it" if not scales else "it is quantised by channel"
    return scales.pop() if len(scales) == 1 else "it is quantised to several scales"


def _result_scale(graph: DataflowGraph, field: relax.Expr) -> TensorQParams | None:
    """The QParams of a result that is a dequantised int8 tensor, or None."""
    call = graph.definition(field)
    if (
        not ops.is_op(call, "relax.dequantize")
        or str(call.args[0].ty.dtype) != "int8"
        or graph.is_constant(call.args[0])
    ):
        return None
    return qparams(graph.constant(call.args[1]), graph.constant(call.args[2]))


def _fields(graph: DataflowGraph) -> list[relax.Expr]:
    whole = graph.definition(graph.result)
    return list(whole.fields) if isinstance(whole, relax.Tuple) else [graph.result]


class _Walk(Forward):
    def __init__(self, function: relax.Function) -> None:
        super().__init__(function)
        boundary = boundary_of(tvm.IRModule({"main": function}))
        self._outputs = boundary.outputs
        self._params = [
            relax.Var(param.name, relax.TensorType(param.ty.shape, "int8")) if number in boundary.inputs else param
            for number, param in enumerate(function.params)
        ]
        self._codes = {
            param: self._params[number] for number, param in enumerate(function.params) if number in boundary.inputs
        }

    def visit(self, var: relax.Var, value: relax.Expr) -> relax.Expr | None:
        return (
            self._codes.get(value.args[0])
            if ops.is_op(value, "relax.quantize") and isinstance(value.args[0], relax.Var)
            else None
        )

    def result(self) -> relax.Expr:
        fields = [
            self.new(self.graph.definition(field).args[0] if number in self._outputs else field)
            for number, field in enumerate(_fields(self.graph))
        ]
        return relax.Tuple(fields) if isinstance(self.graph.definition(self.graph.result), relax.Tuple) else fields[0]

    def finish(
        self, result: relax.Expr, params: Sequence[relax.Expr] | None = None
    ) -> tuple[relax.Function, list[tuple[relax.Var, relax.Call]]]:
        return super().finish(result, self._params)
