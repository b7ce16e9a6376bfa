"""Sums, differences and products of two computed tensors [+ relu, clip]: one integer operator with a scale of its
own."""

from ..ops import is_op
from .graph import Graph, Node, activation_behind, is_constant, is_float32
from .group import Group, Refusal
from .softmax import peak_range


def match(graph: Graph, node: Node, excluded: frozenset[str]) -> Group | Refusal | None:
    """A sum, difference or product of two computed tensors; None for another operator."""
    if not is_op(node.value, "relax.add", "relax.subtract", "relax.multiply"):
        return None
    if any(is_constant(x) for x in node.inputs):
        return None
    if not all(is_float32(x) for x in node.inputs):
        return Refusal("it does not work on float32")
    if peak_range(graph, node) is not None:
        return Refusal("in float with the softmax in front of it")
    return Group(node, (node, *activation_behind(graph, node)), node.inputs)
