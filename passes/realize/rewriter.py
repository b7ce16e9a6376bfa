"""Builds a new dataflow function binding by binding; only what the result needs survives, under its old name."""

import tvm
from tvm import relax

from .graph import Graph, variables


class Rewriter:
    """One forward walk over `function`: `emit` appends bindings, `finish` drops the dead ones and makes the function."""

    def __init__(self, function):
        self.graph = Graph(function)
        self._builder = relax.BlockBuilder()
        self._bindings = []

    def emit(self, expr, name):
        """A new variable called `name` that is bound to `expr`; the type is inferred."""
        expr = self._builder.normalize(expr)
        var = relax.DataflowVar(name, expr.ty)
        self._bindings.append((var, expr))
        return var

    def finish(self, result):
        """(the new function with the parameters of the old one, its live bindings)."""
        needed, live = set(variables(result)), []
        for var, expr in reversed(self._bindings):
            if var in needed:
                needed.update(variables(expr))
                live.append((var, expr))
        live.reverse()
        output = relax.Var(self.graph.function.body.body.name, self._builder.normalize(result).ty)
        bindings = [relax.VarBinding(var, expr) for var, expr in live] + [relax.VarBinding(output, self._builder.normalize(result))]
        body = self._builder.normalize(relax.SeqExpr([relax.DataflowBlock(bindings)], output))
        old = self.graph.function
        return relax.Function(list(old.params), body, output.ty, is_pure=True, attrs=old.attrs), live


def replace_main(module, function):
    """`module` with `function` as its `main`."""
    functions = dict(module.functions_items())
    functions[module.get_global_var("main")] = function
    return tvm.IRModule(functions, attrs=module.attrs)
