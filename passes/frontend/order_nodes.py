"""Nodes in an order in which every value is made before it is read, and without results that nobody reads."""

from collections.abc import Sequence
from pathlib import Path

import onnx

from ...targets.errors import UnsupportedModelError

_OPTIONAL, _VARIADIC = (
    onnx.defs.OpSchema.FormalParameterOption.Optional,
    onnx.defs.OpSchema.FormalParameterOption.Variadic,
)


def sort_nodes(graph: onnx.GraphProto, path: Path) -> None:
    """Sorts the nodes of a graph and of the bodies in it, stably. Raises UnsupportedModelError where they read each
    other in a circle."""
    for node in graph.node:
        for body in _bodies(node):
            sort_nodes(body, path)
    made = {name for node in graph.node for name in node.output if name}
    ordered, left = [], list(graph.node)
    known: set[str] = set()
    while left:
        waiting = []
        for node in left:
            if (_reads(node) & made) <= known:
                ordered.append(node)
                known.update(node.output)
            else:
                waiting.append(node)
        if len(waiting) == len(left):
            raise UnsupportedModelError(
                f"{path}: node {waiting[0].name or waiting[0].output[0]!r} reads values that depend on its own "
                "results; export the network again"
            )
        left = waiting
    if any(a is not b for a, b in zip(ordered, graph.node)):
        ordered = [_copy(node) for node in ordered]
        del graph.node[:]
        graph.node.extend(ordered)


def drop_dead_nodes(graph: onnx.GraphProto) -> None:
    """Leaves out the nodes of a sorted graph that no output depends on."""
    used, kept = {value.name for value in graph.output}, []
    for node in reversed(graph.node):
        if not used.isdisjoint(node.output):
            kept.append(node)
            used |= _reads(node)
    if len(kept) < len(graph.node):
        kept = [_copy(node) for node in reversed(kept)]
        del graph.node[:]
        graph.node.extend(kept)


def drop_unread_results(graph: onnx.GraphProto) -> None:
    """Cuts optional outputs that nothing reads: the mask of a Dropout, the indices of a MaxPool, the statistics of a
    normalization."""
    used = {value.name for value in graph.output}
    for node in graph.node:
        used |= _reads(node)
    for node in graph.node:
        for body in _bodies(node):
            drop_unread_results(body)
        if not onnx.defs.has(node.op_type, node.domain):
            continue
        results = onnx.defs.get_schema(node.op_type, domain=node.domain).outputs
        while len(node.output) > 1 and node.output[-1] not in used and _is_optional(results, len(node.output) - 1):
            del node.output[-1]


def _is_optional(results: Sequence[onnx.defs.OpSchema.FormalParameter], index: int) -> bool:
    return (
        index >= len(results)
        and results[-1].option != _VARIADIC
        or index < len(results)
        and results[index].option == _OPTIONAL
    )


def _reads(node: onnx.NodeProto) -> set[str]:
    """The values that a node reads, those around a body of it among them."""
    found = set(node.input)
    for body in _bodies(node):
        own = {value.name for value in (*body.input, *body.initializer)} | {
            name for inner in body.node for name in inner.output
        }
        inside = {name for inner in body.node for name in _reads(inner)} | {value.name for value in body.output}
        found |= inside - own
    return found


def _bodies(node: onnx.NodeProto) -> list[onnx.GraphProto]:
    return [attribute.g for attribute in node.attribute if attribute.type == onnx.AttributeProto.GRAPH]


def _copy(node: onnx.NodeProto) -> onnx.NodeProto:
    found = onnx.NodeProto()
    found.CopyFrom(node)
    return found
