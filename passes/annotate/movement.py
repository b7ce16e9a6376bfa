"""Operators that only move data: operands and result share one scale and zero point, so they work on int8 as they
are."""

from tvm import relax

from ..operators.registry import operators
from ..ops import attrs_of, is_op
from .graph import Graph, Node, is_constant, is_float32
from .group import Group, Refusal

_MOVES = operators(lambda traits: traits.moves and not traits.elementwise)


def match(graph: Graph, node: Node, excluded: frozenset[str]) -> Group | Refusal | None:
    """An operator that only moves data, with all that share its scale; None for another operator."""
    if isinstance(node.value, relax.TupleGetItem):
        return _piece(graph, node)
    if not is_op(node.value, *_MOVES):
        return None
    if any(is_constant(x) or not is_float32(x) for x in node.inputs):
        return Refusal("an operand is constant or not float32")
    if is_op(node.value, "relax.split"):
        return None  # The pieces of a split are the tensors (`_piece`).
    reason = _refusal(node)
    return Refusal(reason) if reason else Group(node, (node,), node.inputs, moves=True)


def _piece(graph: Graph, node: Node) -> Group | Refusal:
    """One piece of a split."""
    split = graph.producer.get(node.value.tuple_value)
    if (
        split is None
        or not is_op(split.value, "relax.split")
        or not is_float32(split.inputs[0])
        or is_constant(split.inputs[0])
    ):
        return Refusal("it is not a piece of a float32 split")
    return Group(node, (node,), split.inputs, moves=True)


def _refusal(node: Node) -> str | None:
    if is_op(node.value, "relax.image.resize2d"):
        method = node.value.attrs["method"]
        return None if method == "nearest_neighbor" else f"resize by {method} has no integer form"
    if is_op(node.value, "relax.nn.pad"):
        attrs = attrs_of(node.value)
        if attrs["pad_mode"] == "constant" and attrs["pad_value"] != 0.0:
            return f"padding with {attrs['pad_value']} need not be representable"
    if is_op(node.value, "octet.interleave") and attrs_of(node.value)["fill"] != 0:
        return "it is filled with something else than zero"
    return None
