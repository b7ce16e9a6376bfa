"""What a function of one tensor makes, in two bytes: y = f(h) W becomes y = coarse(f(h)) W + rest(f(h)) W, for tensors
that one byte has too few steps for (behind GELU, where a few values are a hundred times the others).

Both parts are functions of h alone, so that each is a table of 256 entries where h is int8, and the layer is multiplied
twice in int8: nothing is left in float for it.

    g: gelu(h); y = matmul(g, W) + b    ->    y = (matmul(coarse(gelu(h)), W) + b) + matmul(remainder(gelu(h)), W)

coarse rounds to whole steps and keeps to 256 of them, a fixed range, so that its codes are exact; remainder is what is
missing to x, at most half a step. A step is a power of two. In fp32 only the order of a sum changes. Runs on the
canonical fp32 graph."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, floor, log2

import numpy as np
from tvm import IRModule, relax

from .. import ops
from ..annotate.graph import Graph, is_constant
from ..ops import attrs_of, is_op
from ..rewriting.forward import Forward
from ..rewriting.function import replace_main
from .smooth_inputs import smoothable

_HEADROOM = 1.5  # of the range over the largest value that was seen: two bytes have steps enough
_LEAST = {
    "gelu": -0.17,
    "gelu_tanh": -0.17,
    "silu": -0.28,
    "mish": -0.31,
    "hard_swish": -0.375,
}  # what functions never go below


@dataclass(frozen=True)
class SplitInputs:
    """largest: {tensor: float [channels]}, the largest magnitude of every channel on calibration data; others stay."""

    largest: Mapping[str, np.ndarray]

    def __call__(self, mod: IRModule) -> IRModule:
        found = {
            name: readers for name, readers in splittable(mod).items() if float(np.max(self.largest.get(name, 0.0))) > 0
        }
        return replace_main(mod, _Splitter(mod, found, self.largest).run()) if found else mod


def splittable(mod: IRModule) -> dict:
    """{tensor: the linear layers that read it} of the functions whose results can be split."""
    graph = Graph(mod)
    return {
        name: readers
        for name, readers in smoothable(mod, tables=True).items()
        if is_op(graph.producer[readers[0].inputs[0]].value, "octet.unary")
    }


class _Splitter(Forward):
    def __init__(self, mod, found, largest):
        super().__init__(mod["main"])
        graph = Graph(mod)
        self._largest = {readers[0].inputs[0]: float(np.max(largest[name])) for name, readers in found.items()}
        self._layers = {node.var for readers in found.values() for node in readers}
        self._rests, self._parts = (
            {},
            {},
        )  # the variable that the rest's product is added to; of a function's result its two parts
        for layer in self._layers:
            user = graph.sole_user(layer)
            biased = user is not None and is_op(user.value, "relax.add") and any(map(is_constant, user.inputs))
            self._rests[user.var if biased else layer] = layer

    def visit(self, var, value):
        if var in self._largest:
            self._parts[var] = self._split(var, value)
            return None
        if var in self._layers:
            return self._added(
                var,
                self.emit(
                    relax.Call(value.op, [self._parts[value.args[0]][0], value.args[1]], value.attrs, value.ty_args),
                    var.name,
                ),
                value,
            )
        if var in self._rests:
            return self._added(var, self.carry(var, value), self.graph.definition(self._rests[var]))
        return None

    def _added(self, var, new, layer):
        """`new`, or with the rest's product where it belongs."""
        if var not in self._rests:
            return new
        rest = self.derive(
            relax.Call(layer.op, [self._parts[layer.args[0]][1], layer.args[1]], layer.attrs, layer.ty_args),
            f"{self._rests[var].name}.rest",
        )
        return self.derive(relax.op.add(new, rest), f"{var.name}.whole")

    def _split(self, var, value):
        """(coarse, remainder), each of a function of its own, so that each is one chain."""
        kind, high = attrs_of(value)["kind"], self._largest[var] * _HEADROOM
        low = max(_LEAST.get(kind, -high), -high)
        step = 2.0 ** ceil(log2((high - low) / 254))
        parts = (("coarse", {"step": step, "low": step * floor(low / step)}), ("remainder", {"step": step}))
        made = [self.derive(self.new(value), f"{var.name}.{part}.of") for part, _ in parts]
        return [
            self.derive(ops.call("octet.unary", [of], kind=part, **attrs), f"{var.name}.{part}")
            for of, (part, attrs) in zip(made, parts, strict=True)
        ]
