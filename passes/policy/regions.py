"""The regions of a hub: operators between quantised tensors, and the tensors that join them.

A region is what becomes one integer operator, with whatever float operators hang on it: a connected part of the hub
once every R.quantize / R.dequantize pair is cut. A region computes in int8 or in float; where two neighbours differ
their tensor is converted."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import tvm
from tvm import relax

from .. import ops
from ..ops import shape_of
from ..rewriting.dataflow_graph import DataflowGraph, variables

OUTSIDE = -1  # The network's inputs and results belong to this region.


@dataclass(frozen=True)
class RegionTensor:
    """A quantised tensor. value: what is quantised; code: the variable of its R.quantize; real: of its R.dequantize
    (there may be several). producer, readers:
    numbers of regions, OUTSIDE for an input or a result of the network. shape: logical."""

    value: relax.Expr
    code: relax.Var
    real: tuple[relax.Expr, ...]
    producer: int
    readers: frozenset[int]
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Regions:
    """The parts of a hub that compute in int8 or in float as a whole, and what joins them.

    graph: of the hub. members: the variables of every region, in program order. tensors: that join them."""

    graph: DataflowGraph
    members: tuple[tuple[relax.Var, ...], ...]
    tensors: tuple[RegionTensor, ...]

    @cached_property
    def of_layer(self) -> dict[str, int]:
        """Region by the identity of a member, or of the R.quantize behind one (a kernel may take that over)."""
        found = {var.name: number for number, members in enumerate(self.members) for var in members}
        return found | {t.code.name: t.producer for t in self.tensors if t.producer != OUTSIDE}


def regions_of(mod: tvm.IRModule) -> Regions:
    """The regions of a QDQ hub (passes/calibrate/qdq.py says what that is)."""
    graph = DataflowGraph(mod["main"])
    parent: dict[relax.Var, relax.Var] = {}

    def root(var: relax.Var) -> relax.Var:
        while parent[var] is not var:
            parent[var] = parent[parent[var]]
            var = parent[var]
        return var

    computed = [
        (var, value) for var, value in graph.bindings if not _is_pair(graph, value) and not graph.is_constant(var)
    ]
    for var, value in computed:
        parent[var] = var
        for operand in variables(value):
            if operand in parent:
                parent[root(operand)] = root(var)
    numbers: dict[relax.Var, int] = {}
    members: list[list[relax.Var]] = []
    for var, _ in computed:
        key = root(var)
        if key not in numbers:
            numbers[key] = len(members)
            members.append([])
        members[numbers[key]].append(var)
    number_of = {var: number for number, group in enumerate(members) for var in group}
    return Regions(graph, tuple(map(tuple, members)), tuple(_tensors(graph, number_of)))


def _tensors(graph: DataflowGraph, number_of: dict[relax.Var, int]) -> Iterator[RegionTensor]:
    for var, value in graph.bindings:
        if not ops.is_op(value, "relax.quantize") or graph.is_constant(value.args[0]):
            continue
        real = tuple(user for user in graph.users(var) if user is not None)
        users = [user for dequantized in real for user in graph.users(dequantized)]
        readers = frozenset(OUTSIDE if user is None else number_of.get(user, OUTSIDE) for user in users)
        shape = shape_of(value.args[0])
        yield RegionTensor(value.args[0], var, real, number_of.get(value.args[0], OUTSIDE), readers, shape)


def _is_pair(graph: DataflowGraph, value: relax.Expr) -> bool:
    return ops.is_op(value, "relax.quantize", "relax.dequantize")
