"""Loops of `main` (passes/operators/loops.py): which bindings are their bodies, and the order in which everything runs.

A loop runs where its first result stands: by then all that its steps read is there. Its body is what stands in front of
that and depends on its index.
Behind it, a variable of the body is that of the last step."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import tvm
from tvm import relax

from .. import ops
from .dataflow_graph import Binding, variables

MARKS = tuple(f"octet.loop_{name}" for name in ("index", "slice", "state", "stack", "last"))
RESULTS = MARKS[3:]


@dataclass(frozen=True)
class RecurrentLoop:
    """One loop over the steps of a recurrent layer.

    index: its variable. steps: how many, from the last to the first if `reverse`. body: (variable, value) of a step,
    in order, marks at its beginning included. results: of the loop, likewise. next: what follows on the states, by
    index. read: variables of the body that are read behind it."""

    index: relax.Expr
    steps: int
    reverse: bool
    body: tuple[Binding, ...]
    results: tuple[Binding, ...]
    next: tuple[relax.Expr, ...]
    read: frozenset[relax.Expr]

    @property
    def numbers(self) -> range:
        """The steps in the order in which they run."""
        return range(self.steps - 1, -1, -1) if self.reverse else range(self.steps)

    @property
    def states(self) -> dict[int, Binding]:
        """{index: (variable, value of its start)}."""
        found = [(var, value) for var, value in self.body if ops.is_op(value, "octet.loop_state")]
        return {ops.attrs_of(value)["index"]: (var, value.args[0]) for var, value in found}


class Loops:
    """The loops of a function, and which binding belongs to which.

    bindings: (variable, value) of `main`, in order."""

    def __init__(self, bindings: Iterable[Binding]) -> None:
        self._bindings = list(bindings)
        self._of: dict[relax.Expr, relax.Expr] = {}
        self._indices: dict[relax.Expr, relax.Expr] = {}
        self._read: set[relax.Expr] = set()
        ended = set()
        for var, value in self._bindings:
            read = [each for each in variables(value) if each in self._of] if self._indices else []
            if ops.is_op(value, "octet.loop_index"):
                self._of[var], self._indices[var] = var, value
            elif ops.is_op(value, *RESULTS):
                ended.add(value.args[1])
            elif read:
                found = {self._of[each] for each in read} - ended
                assert len(found) <= 1, f"{var.name} is in two loops"
                if found:
                    (self._of[var],) = found
                self._read.update(each for each in read if self._of[each] in ended)

    def __bool__(self) -> bool:
        return bool(self._indices)

    def steps(self, var: relax.Expr) -> int:
        """How often a binding runs."""
        return 1 if var not in self._of else ops.attrs_of(self._indices[self._of[var]])["steps"]

    def stacked(self, var: relax.Expr, new: Callable[[relax.Expr], relax.Expr]) -> relax.Call | None:
        """The values of a body's variable in all steps, as an expression of another function: new(expression) is its
        operand there. None outside of loops."""
        if var not in self._of or var in self._indices:
            return None
        index = self._of[var]
        result = next(
            value for _, value in self._bindings if ops.is_op(value, *RESULTS) and value.args[1].same_as(index)
        )
        return ops.call("octet.loop_stack", [new(arg) for arg in (var, *result.args[1:])], steps=self.steps(var))

    def arranged(self) -> list[Binding | RecurrentLoop]:
        """(variable, value) and Loop, in the order in which they run."""
        order = []
        bodies: dict[relax.Var, list[Binding]] = {index: [] for index in self._indices}
        results: dict[relax.Var, list[Binding]] = {index: [] for index in self._indices}
        for var, value in self._bindings:
            if var in self._of:
                bodies[self._of[var]].append((var, value))
            elif ops.is_op(value, *RESULTS):
                index = value.args[1]
                if not results[index]:
                    order.append(index)
                results[index].append((var, value))
            else:
                order.append((var, value))
        return [
            self._loop(each, bodies[each], results[each]) if isinstance(each, relax.Var) else each for each in order
        ]

    def _loop(
        self, index: relax.Expr, body: list[tuple[relax.Var, relax.Call]], results: list[tuple[relax.Var, relax.Call]]
    ) -> RecurrentLoop:
        attrs = ops.attrs_of(self._indices[index])
        read = frozenset(var for var, _ in body if var in self._read)
        return RecurrentLoop(
            index,
            attrs["steps"],
            bool(attrs["reverse"]),
            tuple(body),
            tuple(results),
            tuple(results[0][1].args[2:]),
            read,
        )


def loops_of(module: tvm.IRModule) -> Loops:
    """The loops of `main`."""
    return Loops((binding.var, binding.value) for block in module["main"].body.blocks for binding in block.bindings)
