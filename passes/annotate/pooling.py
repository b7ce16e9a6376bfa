"""Average pooling, global means and linear interpolation: one integer operator with a scale of its own (a mean's range
is narrower than its input's)."""

from ..operators.images import LARGEST_UNIT
from ..ops import is_op, shape_of
from ..realize.resize import integer_taps
from .graph import Graph, Node, activation_behind, is_constant, is_float32
from .group import Group, Refusal


def match(graph: Graph, node: Node, excluded: frozenset[str]) -> Group | Refusal | None:
    """A pooling, a mean over pixels or a linear interpolation; None for another operator."""
    if is_op(node.value, "relax.mean"):
        return _mean(graph, node)
    if is_op(node.value, "relax.image.resize2d") and node.value.attrs["method"] == "linear":
        return _interpolation(graph, node)
    if not is_op(node.value, "relax.nn.avg_pool2d"):
        return None
    if not is_float32(node.inputs[0]) or is_constant(node.inputs[0]):
        return Refusal("its data are not a float32 tensor")
    if node.value.attrs["layout"] != "NCHW":
        return Refusal(f"layout {node.value.attrs['layout']} is not NCHW")
    return Group(node, (node, *activation_behind(graph, node)), node.inputs)


def _mean(graph: Graph, node: Node) -> Group | Refusal:
    axes = node.value.attrs["axis"]
    if not is_float32(node.inputs[0]) or axes is None or len(shape_of(node.inputs[0])) != 4:
        return Refusal("only a float32 mean over height and width (NCHW) has an integer form")
    if sorted(int(a) % 4 for a in axes) != [2, 3] or not node.value.attrs["keepdims"]:
        return Refusal("only a mean over height and width that keeps its dimensions has an integer form")
    return Group(node, (node, *activation_behind(graph, node)), node.inputs)


def _interpolation(graph: Graph, node: Node) -> Group | Refusal:
    if not is_float32(node.inputs[0]) or is_constant(node.inputs[0]):
        return Refusal("its data are not a float32 tensor")
    if integer_taps(node.value) is None:
        return Refusal(
            f"only linear interpolation whose weights are multiples of one unit from 1 to 1/{LARGEST_UNIT} has an "
            "integer form"
        )
    return Group(node, (node, *activation_behind(graph, node)), node.inputs)
