"""The walk that carries identity: `main` anew, binding by binding, from the first to the last.

    v: y = f(x)   ->   v: y' = f(x')      where the walk has nothing to say of it
                  ->   what `visit` emits      where it has

A new variable has the identity of an old one (`emit`), because it stands for it or belongs to its layer, or one of its
own (`derive`). What nobody reads is left out.
"""

from collections.abc import Sequence

from tvm import relax

from .dataflow_graph import Binding, DataflowGraph, rebuild_expr
from .function import function_of, live_bindings
from .identities import Identities


class Forward:
    """One walk over `function`. graph: its definitions and uses; values: old variable -> what stands for it."""

    def __init__(self, function: relax.Function) -> None:
        self.graph = DataflowGraph(function)
        self.values: dict[relax.Expr, relax.Expr] = {}
        # The normalizer infers types; variables are made here, as a builder spells names its own way.
        self._normalizer = relax.BlockBuilder()
        self._bindings: list[Binding] = []
        self._definitions: dict[relax.Var, relax.Expr] = {}
        old = (function.body.body, *function.params, *(var for var, _ in self.graph.bindings))
        self._identities = Identities(var.name for var in old)

    def visit(self, var: relax.Var, value: relax.Expr) -> relax.Expr | None:
        """What a pass overrides: what stands for `var` = `value` from now on, or None: the same operator on new
        operands."""

    def run(self) -> relax.Function:
        """The new function."""
        for var, value in self.graph.bindings:
            new = self.visit(var, value)
            self.values[var] = self.carry(var, value) if new is None else new
        return self.finish(self.result())[0]

    def result(self) -> relax.Expr:
        """What the new function returns."""
        return self.new(self.graph.result)

    def new(self, expr: relax.Expr) -> relax.Expr:
        """An expression of the old function in the new one."""
        if isinstance(expr, relax.Var):
            return self.values.get(expr, expr)
        return rebuild_expr(expr, self.new) if isinstance(expr, (relax.Tuple, relax.TupleGetItem, relax.Call)) else expr

    def carry(self, var: relax.Var, value: relax.Expr) -> relax.Expr:
        """The operator of `var` on its new operands, with the identity that it had."""
        new = self.new(value)
        return new if isinstance(value, relax.Tuple) else self.emit(new, var.name)

    def emit(self, expr: relax.Expr, name: str) -> relax.Expr:
        """A variable bound to `expr`, with the identity `name` of a variable of the old function."""
        expr = self._normalizer.normalize(expr)
        var = relax.DataflowVar(name, expr.ty)
        self._bindings.append((var, expr))
        self._definitions[var] = expr
        return var

    def derive(self, expr: relax.Expr, name: str) -> relax.Expr:
        """A variable bound to `expr`, with an identity that nobody has, called after `name`."""
        return self.emit(expr, self._identities.unique(name))

    def definition(self, expr: relax.Expr) -> relax.Expr:
        """What a new variable is bound to; the expression itself for a parameter, a constant or a call."""
        return self._definitions.get(expr, expr) if isinstance(expr, relax.Var) else expr

    def finish(
        self, result: relax.Expr, params: Sequence[relax.Expr] | None = None
    ) -> tuple[relax.Function, list[Binding]]:
        """(the new function, its live bindings). params: its parameters where they are not those of the old one."""
        kept = live_bindings(self._bindings, result)
        return function_of(self.graph.function, kept, result, params), kept
