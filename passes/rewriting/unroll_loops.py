"""A loop -> its steps one behind the other.

    octet.loop_stack(f(octet.loop_slice(x, t), octet.loop_state(start, t)))   ==>
            concat(f(x[0], start), f(x[1], f(x[0], start)), ..)

For what knows no loops: GPUs, files for other runtimes, networks that are trained or that watch themselves."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tvm import IRModule, relax

from ...targets.errors import UnsupportedModelError
from .. import ops
from ..ops import shape_of
from .dataflow_graph import rebuild_expr
from .forward import Forward
from .function import replace_main
from .loops import MARKS, Loops, RecurrentLoop

_LONGEST = 1000  # A loop of more steps is not unrolled.


@dataclass(frozen=True)
class UnrollLoops:
    """The pass that writes the steps of loops one behind the other.

    user: who cannot have loops, for the message. Raises UnsupportedModelError for more than 1,000 steps."""

    user: str

    def __call__(self, mod: IRModule) -> IRModule:
        """The module without octet.loop: its steps one behind the other, or `mod` itself where there is none."""
        walk = _Unroller(mod["main"], self.user)
        return replace_main(mod, walk.run()) if walk.loops else mod


class _Unroller(Forward):
    def __init__(self, function: relax.Function, user: str) -> None:
        super().__init__(function)
        self.loops, self._user = Loops(self.graph.bindings), user

    def run(self) -> relax.Function:
        for each in self.loops.arranged():
            if isinstance(each, RecurrentLoop):
                self._steps(each)
            else:
                self.values[each[0]] = self.carry(*each)
        return self.finish(self.result())[0]

    def _steps(self, loop: RecurrentLoop) -> None:
        if loop.steps > _LONGEST:
            name = loop.index.name
            raise UnsupportedModelError(
                f"node {name!r}: {self._user} takes {_LONGEST} steps of a recurrent layer at most, not {loop.steps}; "
                "export it for shorter sequences"
            )
        now = {var: self.new(start) for var, start in loop.states.values()}
        stacks: dict[Any, list[Any]] = {
            var: [None] * loop.steps for var, value in loop.results if ops.is_op(value, "octet.loop_stack")
        }
        results = dict(loop.results)
        for t in loop.numbers:
            self.values.update(now)
            for var, value in loop.body:
                if ops.is_op(value, "octet.loop_slice"):
                    self.values[var] = self._slice(var, self.new(value.args[0]), t)
                elif not ops.is_op(value, *MARKS):
                    new = rebuild_expr(value, self.new)
                    self.values[var] = new if isinstance(new, relax.Tuple) else self.derive(new, f"{var.name}{t}")
            for var, parts in stacks.items():
                parts[t] = self.new(results[var].args[0])
            now = {var: self.new(loop.next[i]) for i, (var, _) in loop.states.items()}
        for var, value in loop.results:
            self.values[var] = self._stack(var, stacks[var]) if var in stacks else self.new(value.args[0])

    def _slice(self, var: relax.Var, x: relax.Expr, t: int) -> relax.Expr:
        part = self.derive(relax.op.strided_slice(x, [0], [t], [t + 1]), f"{var.name}.slice{t}")
        return self.derive(relax.op.reshape(part, shape_of(var)), f"{var.name}{t}")

    def _stack(self, var: relax.Var, parts: Sequence[relax.Expr]) -> relax.Expr:
        shape = [1, *shape_of(var)[1:]]
        rows = [self.derive(relax.op.reshape(part, shape), f"{var.name}.row{t}") for t, part in enumerate(parts)]
        return self.emit(relax.op.concat(rows, axis=0) if len(rows) > 1 else relax.op.reshape(rows[0], shape), var.name)
