"""Functions of one quantised tensor: a chain of them becomes one table of 256 entries (or one per channel).

Members of a chain: octet.unary, prelu, relu, clip, and sums and products with a constant that is a scalar or has one
value per channel.
"""

from tvm import relax

from ..constants import array_of
from ..operators.registry import operators, traits_of
from ..ops import attrs_of, is_op, is_part, shape_of
from ..unary import FLAT, WIDE, range_of
from .graph import Graph, Node, is_constant, is_float32
from .group import Group, Refusal

_SCALAR = operators(lambda traits: traits.real_function and traits.elementwise == 1 and not traits.wide) - {
    "relax.nn.prelu"
}


def match(graph: Graph, node: Node, excluded: frozenset[str]) -> Group | Refusal | None:
    """A function of one tensor, element by element; None for another operator."""
    if not _is_function(node):
        return _refusal(node)
    if is_part(node.value):
        return Refusal("it splits a float32 tensor in two bytes: of one byte there is no rest")
    chain = [node]
    user = graph.sole_user(node.var)
    while user is not None and _is_function(user) and user.name not in excluded:
        chain.append(user)
        user = graph.sole_user(user.var)
    return Group(node, tuple(chain), tuple(x for x in node.inputs if not is_constant(x)))


def fixed_range(node: Node) -> tuple[float, float] | None:
    """The range of the values that the operator makes, where it is known beforehand."""
    return range_of(attrs_of(node.value)) if is_op(node.value, "octet.unary") else traits_of(node.op).range


def floor_of(graph: Graph, tensor: relax.Expr) -> float | None:
    """The value below which no reader of the tensor tells values apart; None where one does."""
    readers = graph.users.get(tensor, ())
    floors = [FLAT.get(attrs_of(node.value)["kind"]) for node in readers if is_op(node.value, "octet.unary")]
    known = [floor for floor in floors if floor is not None]
    return min(known) if known and len(known) == len(readers) and tensor not in graph.outputs else None


def _is_function(node: Node) -> bool:
    if not is_float32(node.var):
        return False
    if is_op(node.value, "octet.unary") and attrs_of(node.value)["kind"] in WIDE:
        return False
    if is_op(node.value, *_SCALAR):
        return not is_constant(node.inputs[0]) and is_float32(node.inputs[0])
    if is_op(node.value, "relax.nn.prelu"):
        return is_constant(node.inputs[1]) and not is_constant(node.inputs[0])
    if is_op(node.value, "relax.add", "relax.multiply"):
        constants = [x for x in node.inputs if is_constant(x)]
        return len(constants) == 1 and _per_channel(
            shape_of(constants[0]), array_of(constants[0]).size, shape_of(node.var)
        )
    return False


def _per_channel(shape: tuple[int, ...], size: int, out: tuple[int, ...]) -> bool:
    if size == 1:
        return True
    padded = (1,) * (len(out) - len(shape)) + tuple(shape)
    return len(out) == 4 and padded == (1, out[1], 1, 1)


def _refusal(node: Node) -> Refusal | None:
    if is_op(node.value, "relax.add", "relax.multiply"):
        return Refusal("its constant operand is neither a scalar nor one value per channel of an image")
    if is_op(node.value, "octet.unary"):
        return Refusal(f"{attrs_of(node.value)['kind']} stays in float: its range is too wide for 256 steps")
    if is_op(node.value, "relax.nn.prelu"):
        return Refusal("its slope is computed at run time")
    return None
