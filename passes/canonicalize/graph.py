"""The walk that every rewrite of this folder is built on: `main`, binding by binding, in order.

A rule sees one binding whose operands are already rewritten, and answers with an expression in its place, or None ("not mine").
What a rule leaves without users is removed at the end.
"""

import numpy as np
from tvm import relax
from tvm.ir import Call, GenericConst, IRModule

from .. import ops


class Graph:
    """What a rule may ask and do: definitions and uses of variables, constants, emission."""

    def __init__(self, builder, uses):
        self._builder = builder
        self._old_uses = uses
        self._uses = {}
        self._values = {}
        self._current = None
        self.notes = []

    def value(self, expr):
        """What a variable is bound to; the expression itself for a parameter, a constant or a call."""
        return self._values.get(expr, expr) if isinstance(expr, relax.Var) else expr

    def match(self, expr, *names):
        """The call that a variable is bound to, if it is one of the named operators; else None."""
        value = self.value(expr)
        return value if ops.is_op(value, *names) else None

    def unary(self, expr, kind):
        """The octet.unary call of this kind that a variable is bound to, or None."""
        value = self.match(expr, "octet.unary")
        return value if value is not None and ops.attrs_of(value)["kind"] == kind else None

    def used_once(self, var) -> bool:
        """Whether the binding being rewritten is the only user of a variable."""
        return self._uses.get(var, 1) <= 1

    def users(self, var) -> int:
        """How many operands the original of the binding being rewritten is (model outputs count)."""
        return self._old_uses.get(var, 0)

    def emit(self, expr, like=None):
        """Binds an intermediate result, named after `like` (a variable) or else after the binding being rewritten."""
        if isinstance(expr, (relax.Var, GenericConst)):
            return expr
        name = (like if like is not None else self._current).name
        var = self._builder.emit(expr, name_hint=name)
        self._values[var] = self._builder.lookup_binding(var)
        return var

    def note(self, text):
        """Records what was not done and why."""
        self.notes.append(text)

    def _finish(self, old, new):
        new = self.emit(new, like=old)
        if isinstance(new, relax.Var):
            self._uses[new] = self._uses.get(new, 0) + self._old_uses.get(old, 0)
        return new


def rewrite(mod: IRModule, rule) -> IRModule:
    """The module after one walk. `rule(graph, value, var) -> Expr | None`: value is a Call or TupleGetItem, var the binding's old variable.

    Notes of the rule are appended to the module's attribute "octet.notes".
    """
    func = mod["main"]
    block, output = func.body.blocks[0], func.body.body
    builder, replaced = relax.BlockBuilder(), {}
    graph = Graph(builder, _count_uses(block.bindings, output))
    with builder.function("main", params=list(func.params), attrs=dict(func.attrs) if func.attrs else None):
        with builder.dataflow():
            result = output
            for binding in block.bindings:
                value = _substitute(binding.value, replaced)
                if binding.var.same_as(output) and isinstance(value, relax.Tuple):
                    result = value
                    break
                graph._current = binding.var
                new = rule(graph, value, binding.var)
                replaced[binding.var] = graph._finish(binding.var, value if new is None else new)
            result = builder.emit_output(_substitute(result, replaced), name_hint=output.name)
        builder.emit_func_output(result)
    new = IRModule({**dict(mod.functions_items()), mod.get_global_var("main"): builder.get()["main"]}, attrs=mod.attrs)
    new = relax.transform.DeadCodeElimination()(new)
    return new.with_attr("octet.notes", [*notes_of(mod), *graph.notes]) if graph.notes else new


def notes_of(mod: IRModule) -> list[str]:
    """What earlier passes recorded."""
    return [str(note) for note in mod.attrs["octet.notes"]] if mod.attrs and "octet.notes" in mod.attrs else []


def constant(expr) -> np.ndarray | None:
    """The value of a constant tensor, else None."""
    return expr.value.numpy() if isinstance(expr, GenericConst) else None


def shape_of(expr) -> list[int]:
    """The static shape of a tensor expression."""
    return [int(extent) for extent in expr.ty.shape.values]


def is_float(expr) -> bool:
    """Whether an expression is a float32 tensor."""
    return isinstance(expr.ty, relax.TensorType) and str(expr.ty.dtype) == "float32"


def _substitute(expr, replaced):
    if isinstance(expr, relax.Var):
        return replaced.get(expr, expr)
    if isinstance(expr, relax.Tuple):
        return relax.Tuple([_substitute(field, replaced) for field in expr.fields])
    if isinstance(expr, relax.TupleGetItem):
        return relax.TupleGetItem(_substitute(expr.tuple_value, replaced), expr.index)
    if isinstance(expr, Call):
        args = [_substitute(arg, replaced) for arg in expr.args]
        if all(new is old for new, old in zip(args, expr.args)):
            return expr
        return Call(expr.op, args, expr.attrs, expr.ty_args)
    return expr


def _count_uses(bindings, output):
    uses = {output: 1}
    for binding in bindings:
        for var in relax.analysis.free_vars(binding.value):
            uses[var] = uses.get(var, 0) + 1
    return uses
