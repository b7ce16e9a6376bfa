"""Softmax over the last axis by tables, where the recipe asks for it: [multiply by a positive number], softmax is one
integer operator.

Not behind a sum or a choice: there masks of -10000 come in, and on one scale with them the scores would keep no steps
at all."""

from ..constants import array_of
from ..ops import attrs_of, is_op, shape_of
from .graph import Graph, Node, is_constant, is_float32
from .group import Group, Refusal

MOST_COLUMNS = 2**16 - 1  # The exponentials' sum of so many fits into int32.
_PEAK = (0.0, 1.0)  # What `peak_range` names has this range.
_MASKS = ("relax.add", "relax.subtract", "relax.where", "relax.maximum", "relax.minimum")


def match(graph: Graph, node: Node, excluded: frozenset[str]) -> Group | Refusal | None:
    """A softmax, with the factor in front of it; None for another operator."""
    if is_op(node.value, "relax.nn.softmax"):
        return _group(graph, node, (node,))
    softmax = graph.sole_user(node.var) if _scales(node) else None
    if softmax is None or not is_op(softmax.value, "relax.nn.softmax") or {node.name, softmax.name} & excluded:
        return None
    found = _group(graph, softmax, (node, softmax))
    return found if isinstance(found, Group) else None


def peak_range(graph: Graph, node: Node | None) -> tuple[float, float] | None:
    """The range of a softmax's row over its largest value, p * (1 / max(p)), which ends at 1 whatever the data are;
    None for other operators."""
    if node is None or not is_op(node.value, "relax.multiply"):
        return None
    p, inverse = (graph.producer.get(x) for x in node.inputs)
    largest = (
        graph.producer.get(inverse.inputs[0])
        if inverse is not None
        and is_op(inverse.value, "octet.unary")
        and attrs_of(inverse.value)["kind"] == "reciprocal"
        else None
    )
    of = largest.inputs[0] if largest is not None and is_op(largest.value, "relax.max") else None
    return (
        _PEAK
        if of is not None and of.same_as(node.inputs[0]) and p is not None and is_op(p.value, "relax.nn.softmax")
        else None
    )


def guarded(graph: Graph, node: Node | None) -> Node | None:
    """The softmax s of where(isnan(s), 0, s), whose values are the guard's; None for another operator."""
    if node is None or not is_op(node.value, "relax.where"):
        return None
    asked, softmax = graph.producer.get(node.arg(0)), graph.producer.get(node.arg(2))
    if asked is None or softmax is None or not is_op(asked.value, "relax.isnan"):
        return None
    if not is_op(softmax.value, "relax.nn.softmax") or not asked.arg(0).same_as(softmax.var):
        return None
    return softmax if is_constant(node.arg(1)) and not array_of(node.arg(1)).any() else None


def _scales(node: Node) -> bool:
    constants = [array_of(x) for x in node.inputs if is_constant(x)] if is_op(node.value, "relax.multiply") else []
    return (
        len(constants) == 1 and constants[0].size == 1 and float(constants[0].reshape(())) > 0 and is_float32(node.var)
    )


def _group(graph: Graph, softmax: Node, members: tuple[Node, ...]) -> Group | Refusal:
    data = next((x for x in members[0].inputs if not is_constant(x)), None)
    shape = shape_of(softmax.var)
    if data is None or not is_float32(data) or shape_of(data) != shape:
        return Refusal("its data are not a float32 tensor")
    if len(shape) < 2 or attrs_of(softmax.value)["axis"] % len(shape) != len(shape) - 1 or shape[-1] > MOST_COLUMNS:
        return Refusal(f"tables do softmax over the last axis, of {MOST_COLUMNS} elements at most")
    producer = graph.producer.get(data)
    if producer is not None and is_op(producer.value, *_MASKS):
        return Refusal("its input carries a mask, which leaves its scores no steps in int8")
    return Group(softmax, members, (data,))
