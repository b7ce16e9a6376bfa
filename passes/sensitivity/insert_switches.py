"""f(x, ...) -> f(octet.fake_quantize(x, p), ...) on chosen operands; p is a constant of its own for each, switched off.

Runs on the canonical fp32 graph, and leaves its function as it is until somebody writes parameters into the built
network's constants."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from tvm import IRModule, relax

from ..annotate.graph import Graph
from ..ops import call
from ..rewriting.forward import Forward
from ..rewriting.function import replace_main
from ..rewriting.loops import loops_of
from .configuration import RESULT, Operand, result_fields

if TYPE_CHECKING:
    from ..annotate.graph import Node

PARAMETERS = 16  # One switch has so many float32 values (targets/x86/elementwise/fake_quantize.py).


@dataclass(frozen=True)
class InsertSwitches:
    """The pass that makes the quantisation of every operand an input of the network.

    operands: in the order of the switches (program order, results last: `sorted_operands`). taps: names of tensors
    that the network returns behind its results, in order. apart: names of tensors that lie in memory, whatever their
    makers could compute behind them."""

    operands: tuple[Operand, ...]
    taps: tuple[str, ...] = ()
    apart: frozenset[str] = frozenset()

    def __call__(self, mod: IRModule) -> IRModule:
        """The module with one more input, the switches, and the taps behind its results."""
        return replace_main(mod, _Switcher(mod, set(self.operands), self.taps, self.apart).run())


class _Switcher(Forward):
    def __init__(
        self, mod: IRModule, wanted: set[tuple[int, int]], taps: tuple[str, ...], apart: frozenset[str]
    ) -> None:
        super().__init__(mod["main"])
        self._apart = apart
        self._nodes, self._wanted, self._taps, self._loops = Graph(mod), wanted, taps, loops_of(mod)

    def visit(self, var: relax.Var, value: relax.Expr) -> relax.Expr | None:
        if isinstance(value, relax.Tuple):
            return None
        node = self._nodes.producer[var]
        new = self.emit(_rebuilt(node, lambda position, x: self._switched(node.index, position, x)), var.name)
        # No kernel of a layer takes a factor.
        return (
            self.derive(relax.op.multiply(new, relax.const(np.float32(1))), "apart") if var.name in self._apart else new
        )

    def result(self) -> relax.Tuple:
        results = [self._switched(RESULT, i, field) for i, field in enumerate(result_fields(self._nodes))]
        tapped = {var.name: var for var in (*self._nodes.params, *self._nodes.producer)}
        return relax.Tuple([*results, *(self._tap(tapped[name]) for name in self._taps)])

    def _tap(self, var: relax.Var) -> relax.Expr:
        """A tensor of its own, as `var` also exists elsewhere; of a tensor in a loop those of all steps."""
        steps = self._loops.stacked(var, self.new)
        return self._switch(self.new(var), "tap") if steps is None else self.derive(steps, "tap")

    def _switched(self, reader: int, position: int, operand: relax.Expr) -> relax.Expr:
        operand = self.new(operand)
        return self._switch(operand, "switch") if (reader, position) in self._wanted else operand

    def _switch(self, operand: relax.Expr, name: str) -> relax.Expr:
        """Switched off."""
        return self.derive(call("octet.fake_quantize", [operand, relax.const(np.zeros(PARAMETERS, np.float32))]), name)


def sorted_operands(operands: Iterable[Any]) -> tuple[Operand, ...]:
    """The operands in program order, the network's results last."""
    return tuple(sorted(operands, key=lambda operand: (operand[0] == RESULT, operand)))


def _rebuilt(node: "Node", operand: Callable[[int, relax.Expr], relax.Expr]) -> relax.Expr:
    """The binding's value with its tensor operands replaced, counted as `Graph` counts them."""
    position = iter(range(len(node.inputs)))

    def replaced(expr: relax.Expr) -> relax.Expr:
        if isinstance(expr, relax.Tuple):
            return relax.Tuple([replaced(field) for field in expr.fields])
        if any(expr.same_as(x) for x in node.inputs):
            return operand(next(position), expr)
        return expr

    value = node.value
    if isinstance(value, relax.TupleGetItem):
        return relax.TupleGetItem(replaced(value.tuple_value), value.index)
    if isinstance(value, relax.Var):
        return replaced(value)
    return relax.Call(value.op, [replaced(arg) for arg in value.args], value.attrs, value.ty_args)
