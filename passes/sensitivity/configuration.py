"""What a recipe quantises, as switches: (reader, operand) -> qparams, and the layers whose weights are int8.

The switches name operands of the canonical fp32 graph by position, so that the configurations of different recipes
(other calibrators, other layers in float) differ only in values: one compiled network serves them all
(simulator.py)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tvm import IRModule, relax

from ..annotate import Annotate, Recipe
from ..annotate.graph import Graph
from ..calibrate.collect import Edge, edge_of, edges_of
from ..calibrate.qparams import QParams
from ..calibrate.quantize import group_qparams
from ..calibrate.statistics import Statistics
from ..ops import is_op

RESULT = -1  # The network's return counts as a reader too, with this index.

Operand = tuple[int, int]  # An operand is (index of the reading binding or RESULT, position among its tensor operands).


@dataclass(frozen=True)
class Sites:
    """Where a recipe quantises. operands: operand -> edge that it reads. weights: index of a layer's binding -> edge of
    its weight.
    edges: all of them."""

    operands: Mapping[Operand, Edge]
    weights: Mapping[int, Edge]
    edges: tuple[Edge, ...]


@dataclass(frozen=True)
class Configuration:
    """What of a network is quantised in one simulated run.

    operands: operand -> qparams. weights: index of a layer's binding -> channel axis of its int8 weights (-1: one
    scale)."""

    operands: Mapping[Operand, QParams]
    weights: Mapping[int, int]


FLOAT = Configuration({}, {})


def sites_of(mod: IRModule, recipe: Recipe) -> Sites:
    """Where a recipe quantises a network. mod: canonical fp32. Raises OctetError if the recipe names an operator that
    does not exist."""
    annotated = Annotate(recipe)(mod)
    graph = Graph(annotated)
    readers = [node for node in graph.nodes if not is_op(node.value, "octet.observe")]
    operands, weights = {}, {}
    for index, node in zip(range(len(Graph(mod).nodes)), readers):
        if isinstance(node.value, relax.Tuple):
            continue  # Only the network's results are bound as a tuple.
        for position, operand in enumerate(node.inputs):
            edge = _edge(graph, operand)
            if edge is not None and edge.spec == "weight":
                weights[index] = edge
            elif edge is not None:
                operands[index, position] = edge
    for position, operand in enumerate(result_fields(graph)):
        edge = _edge(graph, operand)
        if edge is not None:
            operands[RESULT, position] = edge
    return Sites(operands, weights, tuple(edges_of(annotated)))


def qparams_of_sites(sites: Sites, statistics: Mapping[str, Statistics], recipe: Recipe) -> Configuration:
    """The qparams that statistics and a recipe give to the sites. statistics: by the tensor's name."""
    measured = {edge.edge: statistics[edge.tensor] for edge in sites.edges if edge.measured}
    qparams = group_qparams(sites.edges, measured, recipe)
    operands = {operand: qparams[edge.group] for operand, edge in sites.operands.items()}
    return Configuration(operands, {layer: edge.axis for layer, edge in sites.weights.items()})


def measured_tensors(sites: Iterable[Sites]) -> set[str]:
    """Names of the tensors whose statistics these recipes need."""
    return {edge.tensor for site in sites for edge in site.edges if edge.measured}


def result_fields(graph: Graph) -> tuple[Any, ...]:
    """What the network returns, tuples resolved."""
    result = graph.result
    node = graph.producer.get(result) if isinstance(result, relax.Var) else None
    if node is not None and isinstance(node.value, relax.Tuple):
        return tuple(node.value.fields)
    return tuple(result.fields) if isinstance(result, relax.Tuple) else (result,)


def _edge(graph: Graph, operand: relax.Expr) -> Edge | None:
    node = graph.producer.get(operand) if isinstance(operand, relax.Var) else None
    return edge_of(node.value) if node is not None and is_op(node.value, "octet.observe") else None
