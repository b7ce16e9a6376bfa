"""Linear layers: matmul(x, const[K, N]) [+ bias] [+ residual] [relu, clip] is one integer operator; so is a product of
two computed tensors (attention), whose second operand is symmetric: an affine one would cost row sums at run time. A
product that says `out_dtype` stays in float."""

from math import prod

from tvm import relax

from ..ops import attrs_of, is_op, shape_of
from .conv import with_epilogue
from .graph import Graph, Node, is_constant, is_float32
from .group import Group, Refusal

_FEW = 4096  # A step of so few multiply-adds takes no longer in float32 than its state takes to be quantised.


def match(graph: Graph, node: Node, excluded: frozenset[str]) -> Group | Refusal | None:
    """A linear layer or a product of two computed tensors; None for another operator."""
    if not is_op(node.value, "relax.matmul"):
        return None
    data, weight = node.inputs
    if not is_constant(weight):
        return _product(node)
    if str(attrs_of(node.value)["out_dtype"] or "") == "float32":
        return Refusal("a Fourier transform stays in float: a spectrum needs more than 8 bits")
    if len(shape_of(weight)) != 2:
        return Refusal(f"its weight has {len(shape_of(weight))} dimensions, not 2")
    if is_constant(data) or not is_float32(data) or len(shape_of(data)) < 2:
        return Refusal("its data are not a float32 tensor of rank 2 or more")
    if _of_a_state(graph, data) and prod(shape_of(data)) * shape_of(weight)[1] <= _FEW:
        return Refusal("a step of the recurrent layer has so few products that quantising its state would take longer")
    return with_epilogue(graph, node, axis=1, excluded=excluded)


def _of_a_state(graph: Graph, data: relax.Expr) -> bool:
    made = graph.producer.get(data)
    return made is not None and is_op(made.value, "octet.loop_state")


def _product(node: Node) -> Group | Refusal:
    if is_constant(node.inputs[0]):
        return Refusal("its first operand is constant and its second is not")
    if not all(is_float32(x) and len(shape_of(x)) >= 2 for x in node.inputs):
        return Refusal("its operands are not float32 tensors of rank 2 or more")
    return Group(node, (node,), node.inputs, float_result=True, product=True)
