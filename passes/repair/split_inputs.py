"""What linear layers read, in two bytes: y = x W becomes y = coarse(x) W + rest(x) W, for tensors that one byte has too
few steps for (behind GELU, where a few values are a hundred times the others; behind the normalisations of a
transformer with outlier channels).

    g: gelu(h); y = matmul(g, W) + b    ->    y = (matmul(coarse(gelu(h)), W) + b) + matmul(remainder(gelu(h)), W)

Both parts are functions of h alone, so that each is a table of 256 entries where h is int8, and the layer is multiplied
twice in int8: nothing is left in float for it. With `everything` also h has more than 8 bits: functions are computed in
float, once, as normalisations are, and convolutions are multiplied twice, too:

    g: gelu(h); y = conv2d(g, W) + b    ->    y = (conv2d(coarse(g), W) + b) + conv2d(remainder(g), W)
    n: norm(t); y = matmul(n, W) + b    ->    y = (matmul(coarse(n), W) + b) + matmul(remainder(n), W)

coarse rounds to whole steps and keeps to 256 of them, a fixed range, so that its codes are exact; remainder is what is
missing to x, at most half a step. A step is a power of two. In fp32 only the order of a sum changes. Runs on the
canonical fp32 graph."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, floor, log2, sqrt

import numpy as np
from tvm import IRModule, relax

from .. import ops
from ..annotate.graph import Graph, Node, is_constant
from ..constants import array_of
from ..ops import NORMS, attrs_of, is_op, shape_of
from ..rewriting.forward import Forward
from ..rewriting.function import replace_main
from .smooth_inputs import multiplies

_HEADROOM = 1.5  # The range goes so far beyond the largest value that was seen: two bytes have steps enough.
_LEAST = {
    "gelu": -0.17,
    "gelu_tanh": -0.17,
    "silu": -0.28,
    "mish": -0.31,
    "hard_swish": -0.375,
}  # The values of these functions never go below these bounds.


@dataclass(frozen=True)
class SplitInputs:
    """The pass that gives far values of layers' inputs a product of their own.

    largest: {tensor: float [channels]}, the largest magnitude of every channel of functions' results on calibration
    data; others stay. everything: also what convolutions read, and results of normalisations that several layers read,
    which have a bound of their own."""

    largest: Mapping[str, np.ndarray]
    everything: bool = False

    def __call__(self, mod: IRModule) -> IRModule:
        """The fp32 module in which far values of layers' inputs go their own way, or `mod` itself where none lie
        far."""
        graph, limits = Graph(mod), {}
        for name, readers in splittable(mod, self.everything).items():
            x = readers[0].inputs[0]
            low, high = _limits_of(graph, graph.producer[x], self.largest.get(name))
            if high > 0:
                limits[x] = low, high
        return replace_main(mod, _Splitter(mod, limits, self.everything).run()) if limits else mod


def splittable(mod: IRModule, everything: bool = False) -> dict[str, list[Node]]:
    """{tensor: the layers that read it} of the results of functions, and of normalisations, that can be split."""
    graph, found = Graph(mod), {}
    for node in graph.nodes:
        if is_op(node.value, "octet.unary") or (everything and _norm_of(graph, node) is not None):
            readers = [user for user in graph.users.get(node.var, ()) if _reads(user, node.var, everything)]
            # One wide layer costs more than it gains.
            if len(readers) > (0 if is_op(node.value, "octet.unary") else 1):
                found[node.var.name] = readers
    return found


def _reads(node: Node, x: relax.Var, everything: bool) -> bool:
    """Whether a layer multiplies x by a constant; with everything a convolution, too."""
    return len(shape_of(x)) > 1 and (multiplies(node, x) or (everything and multiplies(node, x, "relax.nn.conv2d", 4)))


def _norm_of(graph: Graph, node: Node) -> Node | None:
    """The normalisation whose result the node makes, itself or with a factor per channel; None of others."""
    if is_op(node.value, "relax.multiply") and is_constant(node.inputs[1]) and node.inputs[0] in graph.producer:
        node = graph.producer[node.inputs[0]]
    return node if is_op(node.value, *NORMS) and all(map(is_constant, node.inputs[1:])) else None


def _limits_of(graph: Graph, node: Node, largest: np.ndarray | None) -> tuple[float, float]:
    """(low, high) that the node's values keep to; (0, 0) where nothing is known of them."""
    if is_op(node.value, "octet.unary"):
        high = 0.0 if largest is None else float(np.max(largest)) * _HEADROOM
        return max(_LEAST.get(attrs_of(node.value)["kind"], -high), -high), high
    norm = _norm_of(graph, node)
    assert norm is not None, "one of those that were found"
    gamma, *beta = (array_of(x).astype(np.float64).reshape(-1) for x in norm.inputs[1:])
    # One channel alone may have all of the square.
    bound = sqrt(shape_of(norm.var)[-1]) * np.abs(gamma) + (np.abs(beta[0]) if beta else 0.0)
    if norm is not node:
        bound = bound * np.abs(array_of(node.inputs[1])).reshape(-1)
    return -float(bound.max()), float(bound.max())


class _Splitter(Forward):
    def __init__(self, mod: IRModule, limits: dict[relax.Var, tuple[float, float]], everything: bool) -> None:
        super().__init__(mod["main"])
        graph = Graph(mod)
        self._limits, self._everything = limits, everything
        self._layers = {node.var for x in limits for node in graph.users[x] if _reads(node, x, everything)}
        self._rests: dict[relax.Expr, relax.Expr] = {}
        # `_rests` maps the variable that a rest's product is added to to the layer; `_parts` maps a tensor to its two
        # parts.
        self._parts: dict[relax.Expr, list[relax.Expr]] = {}
        for layer in self._layers:
            user = graph.sole_user(layer)
            biased = user is not None and is_op(user.value, "relax.add") and any(map(is_constant, user.inputs))
            self._rests[user.var if user is not None and biased else layer] = layer

    def visit(self, var: relax.Var, value: relax.Expr) -> relax.Expr | None:
        if var in self._limits:
            return self._split(var, value)
        if var in self._layers:
            return self._added(var, self.emit(self._on(value, 0), var.name), value)
        if var in self._rests:
            return self._added(var, self.carry(var, value), self.graph.definition(self._rests[var]))
        return None

    def _on(self, layer: relax.Expr, part: int) -> relax.Call:
        """The layer on a part of what it reads."""
        return relax.Call(
            layer.op, [self._parts[layer.args[0]][part], *map(self.new, layer.args[1:])], layer.attrs, layer.ty_args
        )

    def _added(self, var: relax.Var, new: relax.Expr, layer: relax.Expr) -> relax.Expr:
        """`new`, or with the rest's product where it belongs."""
        if var not in self._rests:
            return new
        rest = self.derive(self._on(layer, 1), f"{self._rests[var].name}.rest")
        return self.derive(relax.op.add(new, rest), f"{var.name}.whole")

    def _split(self, var: relax.Var, value: relax.Expr) -> relax.Expr | None:
        """What stands for the tensor where others read it; its two parts are noted. Each is one chain with a function
        of its own where tables are to be made of them."""
        low, high = self._limits[var]
        step = 2.0 ** ceil(log2((high - low) / 254))
        parts = (("coarse", {"step": step, "low": step * floor(low / step)}), ("remainder", {"step": step}))
        whole = self.carry(var, value) if self._everything else None
        made = [self.derive(self.new(value), f"{var.name}.{part}.of") if whole is None else whole for part, _ in parts]
        self._parts[var] = [
            self.derive(ops.call("octet.unary", [of], kind=part, **attrs), f"{var.name}.{part}")
            for of, (part, attrs) in zip(made, parts, strict=True)
        ]
        return whole
