"""Convolutions: conv2d(x, const) [+ bias] [+ residual] [relu, clip] is one integer operator.

The observer sits behind the activation, never before it: steps for values that a ReLU6 throws away are lost
to those that it keeps (docs/architecture.md). A residual add fuses into the later of two convolutions that feed it: its
sum is never rounded before the addition.
"""

from tvm import relax

from ..constants import array_of
from ..ops import is_op, shape_of
from .graph import Graph, Node, activation_behind, is_constant, is_float32
from .group import Group, Refusal


def match(graph: Graph, node: Node, excluded: frozenset[str]) -> Group | Refusal | None:
    """A convolution by constant weights, with what stands around it; None for another operator."""
    if not is_op(node.value, "relax.nn.conv2d"):
        return None
    data, weight = node.inputs
    if not is_constant(weight):
        return Refusal("its weights are computed at run time")
    if not is_float32(data) or is_constant(data):
        return Refusal("its data are not a float32 tensor")
    attrs = node.value.attrs
    if attrs["data_layout"] != "NCHW" or attrs["kernel_layout"] != "OIHW":
        return Refusal(f"layout {attrs['data_layout']}/{attrs['kernel_layout']} is not NCHW/OIHW")
    return with_epilogue(graph, node, axis=0, excluded=excluded)


def with_epilogue(graph: Graph, node: Node, axis: int, excluded: frozenset[str]) -> Group:
    """The group of a convolution or linear layer `node` with all that fuses behind it."""
    members = bare_members(graph, node)
    data = [node.inputs[0]]
    bare = 0
    add = graph.sole_user(members[-1].var)
    other = _residual_operand(graph, members[-1], add, excluded) if add is not None else None
    if add is not None and other is not None:
        bare = len(members)
        members.append(add)
        data.append(other)
    members += activation_behind(graph, members[-1])
    return Group(node, tuple(members), tuple(data), node.inputs[1], axis, float_result=True, bare=bare)


def bare_members(graph: Graph, node: Node) -> list[Node]:
    """The convolution or linear layer and the addition of its bias, if there is one."""
    user = graph.sole_user(node.var)
    return [node, user] if user is not None and _is_bias(user, node) else [node]


def _is_bias(add: Node, node: Node) -> bool:
    if not is_op(add.value, "relax.add"):
        return False
    others = [x for x in add.inputs if is_constant(x)]
    if len(others) != 1 or not is_float32(others[0]):
        return False
    out = shape_of(node.var)
    channels = out[1] if len(out) == 4 and is_op(node.value, "relax.nn.conv2d") else out[-1]
    aligned = (1, channels, 1, 1) if is_op(node.value, "relax.nn.conv2d") else (channels,)
    shape = shape_of(others[0])
    padded = (1,) * (len(out) - len(shape)) + shape
    return array_of(others[0]).size == channels and padded == (1,) * (len(out) - len(aligned)) + aligned


def _residual_operand(graph: Graph, last: Node, add: Node, excluded: frozenset[str]) -> relax.Expr | None:
    """The other operand of an addition that can fuse behind `last`, or None."""
    if not is_op(add.value, "relax.add") or len(add.inputs) != 2 or add.name in excluded:
        return None
    other = add.inputs[1] if add.inputs[0].same_as(last.var) else add.inputs[0]
    if (
        is_constant(other)
        or not is_float32(other)
        or shape_of(other) != shape_of(add.var)
        or shape_of(last.var) != shape_of(add.var)
    ):
        return None
    rival = _bare_anchor(graph, other, excluded)
    return None if rival is not None and rival.index > last.index else other


def _bare_anchor(graph: Graph, var: relax.Expr, excluded: frozenset[str]) -> Node | None:
    """The convolution or linear layer whose unactivated result, read only once, is `var`."""
    node = graph.producer.get(var)
    if node is None or graph.sole_user(var) is None:
        return None
    if is_op(node.value, "relax.add"):
        computed = [x for x in node.inputs if not is_constant(x)]
        inner = graph.producer.get(computed[0]) if len(computed) == 1 else None
        if inner is None or node not in bare_members(graph, inner):
            return None
        node = inner
    if not is_op(node.value, "relax.nn.conv2d", "relax.matmul") or node.name in excluded:
        return None
    return node if is_constant(node.inputs[1]) else None
