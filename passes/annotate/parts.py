"""Sums of the two products of a layer whose input comes in two bytes (repair/split_inputs.py): in float, so that they
are rounded once. In int8 the first product would be rounded by steps as coarse as those of the whole, and the sum
again."""

from ..ops import attrs_of, is_op
from .graph import Graph

_LAYERS = ("relax.matmul", "relax.nn.conv2d")


def sums_of_parts(graph: Graph) -> frozenset[str]:
    """Names of the sums that add what a layer makes of a remainder."""
    rests = {
        node.var
        for node in graph.nodes
        if is_op(node.value, "octet.unary") and attrs_of(node.value)["kind"] == "remainder"
    }
    products = {node.var for node in graph.nodes if is_op(node.value, *_LAYERS) and node.inputs[0] in rests}
    return frozenset(
        node.name for node in graph.nodes if is_op(node.value, "relax.add") and products.intersection(node.inputs)
    )
