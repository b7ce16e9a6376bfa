"""Front ends that stay in float: linear layers between the network's inputs and a logarithm or square root of sums of
squares.

    log(mel(conv(x, cos)^2 + conv(x, sin)^2))      ==>      conv, conv and mel stay in float

A spectrum spans many powers of ten. 256 steps of its largest value leave its small ones nothing, and the logarithm or
root behind it makes as much of small values as of large ones; the noise would be in all layers that follow. Only where
that costs little: front ends with more than a share SHARE of the network's multiply-adds are quantised like anything
else. A network that is nothing but a transform and what follows its squares gives out that noise itself, and stays in
float."""

from ..multiply_adds import multiply_adds
from ..operators.registry import operators
from ..ops import attrs_of, is_op
from .graph import Graph, Node, is_constant

SHARE = 0.25
_LAYERS = ("relax.nn.conv2d", "relax.matmul")
_MOVES = operators(lambda traits: traits.moves) | {"relax.split", "TupleGetItem", "Tuple", "DataflowVar", "Var"}
_LINEAR = _MOVES | {
    "relax.add",
    "relax.subtract",
    "relax.negative",
    "relax.mean",
    "relax.sum",
    "relax.nn.avg_pool2d",
    "relax.astype",
}
_FLOORS = ("relax.nn.relu", "relax.clip", "relax.maximum", "relax.abs")
_ENDS = ("log", "sqrt")


def front_ends(graph: Graph) -> frozenset[str]:
    """The names of the layers that compute a spectrum in front of a logarithm or a root."""
    spectra, transforms = set(), True
    for node in graph.nodes:
        if _function(node) in _ENDS:
            layers, floored = _layers_before(graph, node)
            spectra |= layers
            transforms &= not floored
    if not spectra:
        return frozenset()
    costs = {node: multiply_adds(node.value) for node in graph.nodes if is_op(node.value, *_LAYERS)}
    chosen, whole = sum(costs[node] for node in spectra), sum(costs.values())
    return (
        frozenset(node.name for node in spectra)
        if chosen <= SHARE * whole or chosen == whole and transforms
        else frozenset()
    )


def _layers_before(graph: Graph, end: Node) -> tuple[set[Node], bool]:
    """(the layers with constant weights between the inputs and a root or logarithm; none unless squares of a layer's
    results come in between, and nothing else but linear operators and floors does; whether there are floors in front of
    the squares, as in a network that normalises its result)."""
    layers, seen, squared, floored = set(), set(), False, False
    waiting = [(graph.producer.get(x), False) for x in end.inputs if not is_constant(x)]
    while waiting:
        node, behind_square = waiting.pop()
        if node is None or (node, behind_square) in seen:
            continue
        seen.add((node, behind_square))
        square = _is_square(node)
        floored |= behind_square and is_op(node.value, *_FLOORS)
        if is_op(node.value, *_LAYERS):
            if is_constant(node.inputs[0]) == is_constant(node.inputs[1]):
                return set(), False
            squared |= behind_square
            if is_constant(node.inputs[1]):  # A product with a constant in front stays in float by itself.
                layers.add(node)
        elif not square and not _is_linear(node):
            return set(), False
        waiting += [(graph.producer.get(x), behind_square or square) for x in node.inputs if not is_constant(x)]
    return (layers, floored) if squared else (set(), False)


def _is_linear(node: Node) -> bool:
    if is_op(node.value, "relax.multiply", "relax.divide"):
        return is_constant(node.inputs[1]) or (is_op(node.value, "relax.multiply") and is_constant(node.inputs[0]))
    return node.op in _LINEAR or is_op(node.value, *_FLOORS) or _function(node) in ("sqrt", "abs")


def _is_square(node: Node) -> bool:
    """Whether a value is a square in the form that NormalizeArithmetic gives squares."""
    return is_op(node.value, "relax.multiply") and node.inputs[0].same_as(node.inputs[1])


def _function(node: Node) -> str:
    if is_op(node.value, "octet.unary"):
        return attrs_of(node.value)["kind"]
    return node.op.removeprefix("relax.")
