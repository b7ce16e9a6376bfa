"""The walk that every rewrite of this folder is built on: `main`, binding by binding, in order.

A rule sees one binding whose operands are already rewritten, and answers with an expression in its place, or None ("not mine").
What a rule leaves without users is removed at the end.
"""

import numpy as np
from tvm import relax
from tvm_ffi import structural_equal
from tvm.ir import Call, GenericConst, IRModule, Op

from .. import ops
from ..rewriting.identities import Identities


class Graph:
    """What a rule may ask and do: definitions and uses of variables, constants, emission."""

    def __init__(self, uses):
        self._normalizer = relax.BlockBuilder()  # infers types; the bindings are ours, so that a variable keeps its name
        self._old_uses = uses
        self._uses = {}
        self._values = {}
        self._current = None
        self._bindings = []
        self._derived = set()  # the variables that stand for nothing that was there before
        self.changed = False
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

    def emit(self, expr, like=None):
        """Binds a result: in place of the variable `like`, with its identity, or an intermediate one, called after the binding being rewritten and the operator."""
        if isinstance(expr, (relax.Var, GenericConst)):
            return expr
        if not isinstance(expr.ty, (relax.TensorType, relax.TupleType)):
            expr = self._normalizer.normalize(expr)
        name = like.name if like is not None else _append(self._current.name, suffix_of(expr))
        var = relax.DataflowVar(name, expr.ty)
        if like is None:
            self._derived.add(var)
        self._bindings.append(relax.VarBinding(var, expr))
        self._values[var] = expr
        return var

    def note(self, text):
        """Records what was not done and why."""
        self.notes.append(text)

    def _step(self, binding, value, rule):
        old = binding.var
        self._current, first = old, len(self._bindings)
        new = rule(self, value, old)
        if new is None and value.same_as(binding.value):
            self._bindings.append(binding)
            self._values[old] = value
            new = old
        else:
            self.changed = True
            # Where the rule itself bound the operator that keeps the name, what it wraps around it gets a suffix.
            taken = any(b.var.name == old.name for b in self._bindings[first:])
            new = self.emit(value if new is None else new, like=None if taken else old)
        if isinstance(new, relax.Var):
            self._uses[new] = self._uses.get(new, 0) + self._old_uses.get(old, 0)
        return new


def rewrite(mod: IRModule, rule) -> IRModule:
    """The module after one walk. `rule(graph, value, var) -> Expr | None`: value is a Call or TupleGetItem, var the binding's old variable.

    Notes of the rule are appended to the module's attribute "octet.notes".
    """
    block, output = mod["main"].body.blocks[0], mod["main"].body.body
    graph, replaced, result = Graph(_count_uses(block.bindings, output)), {}, output
    for binding in block.bindings:
        value = substitute(binding.value, replaced)
        if binding.var.same_as(output) and isinstance(value, relax.Tuple):
            result = value
            break
        replaced[binding.var] = graph._step(binding, value, rule)
    if not graph.changed and not graph.notes:
        return mod
    result = graph._normalizer.normalize(substitute(result, replaced))
    output = relax.Var(output.name, result.ty)
    live = _live(graph._bindings, result)
    taken = (output.name, *(param.name for param in mod["main"].params))
    new = with_main(mod, _distinct([*live, relax.VarBinding(output, result)], taken, graph._derived), output)
    new = relax.transform.DeadCodeElimination()(new)
    return new.with_attr("octet.notes", list(dict.fromkeys([*notes_of(mod), *graph.notes]))) if graph.notes else new


def notes_of(mod: IRModule) -> list[str]:
    """What earlier passes recorded."""
    return [str(note) for note in mod.attrs["octet.notes"]] if mod.attrs and "octet.notes" in mod.attrs else []


def suffix_of(expr) -> str:
    """What is appended to the name of a node for a second variable that it needs."""
    return expr.op.name.split(".")[-1] if isinstance(expr, Call) and isinstance(expr.op, Op) else "part"


def constant(expr) -> np.ndarray | None:
    """The value of a constant tensor, else None."""
    return expr.value.numpy() if isinstance(expr, GenericConst) else None


def shape_of(expr) -> list[int]:
    """The static shape of a tensor expression."""
    return [int(extent) for extent in expr.ty.shape.values]


def is_float(expr) -> bool:
    """Whether an expression is a float32 tensor."""
    return isinstance(expr.ty, relax.TensorType) and str(expr.ty.dtype) == "float32"


def _append(name, suffix):
    return name if name.endswith(f".{suffix}") else f"{name}.{suffix}"


def with_main(mod: IRModule, bindings, output) -> IRModule:
    """`mod` with `main` made of other bindings; its last one binds `output`."""
    old = mod["main"]
    body = relax.BlockBuilder().normalize(relax.SeqExpr([relax.DataflowBlock(bindings)], output))
    main = relax.Function(old.params, body, output.ty, old.is_pure, old.attrs)
    functions = {gvar: f for gvar, f in mod.functions_items() if gvar.name_hint != "main"}
    return IRModule({**functions, mod.get_global_var("main"): main}, attrs=mod.attrs)


def substitute(expr, replaced):
    """`expr` with variables replaced by what `replaced` says; itself where it holds none of them."""
    if isinstance(expr, relax.Var):
        return replaced.get(expr, expr)
    if isinstance(expr, relax.Tuple):
        fields = [substitute(field, replaced) for field in expr.fields]
        return expr if all(new.same_as(old) for new, old in zip(fields, expr.fields)) else relax.Tuple(fields)
    if isinstance(expr, relax.TupleGetItem):
        source = substitute(expr.tuple_value, replaced)
        return expr if source.same_as(expr.tuple_value) else relax.TupleGetItem(source, expr.index)
    if isinstance(expr, Call):
        args = [substitute(arg, replaced) for arg in expr.args]
        if all(new.same_as(old) for new, old in zip(args, expr.args)):
            return expr
        # The result's type follows from the operands' types: it is inferred again only where a rule changed one.
        same = all(new.same_as(old) or structural_equal(new.ty, old.ty) for new, old in zip(args, expr.args))
        return Call(expr.op, args, expr.attrs, expr.ty_args, ret_ty=expr.ty if same else None)
    return expr


def _live(bindings, result):
    needed, live = set(relax.analysis.free_vars(result)), []
    for binding in reversed(bindings):
        if binding.var in needed:
            needed.update(relax.analysis.free_vars(binding.value))
            live.append(binding)
    return live[::-1]


def _distinct(bindings, taken, derived):
    """The bindings, the last one that of the result, with no identity given twice. Where two variables want a name, one that stood for something before has it."""
    identities, names, replaced, kept = Identities(taken), {}, {}, []
    for binding in sorted(bindings[:-1], key=lambda binding: binding.var in derived):
        names[binding.var] = identities.unique(binding.var.name)
    for binding in bindings:
        value = substitute(binding.value, replaced) if replaced else binding.value
        var, name = binding.var, names.get(binding.var, binding.var.name)
        if name != var.name:
            replaced[var] = var = relax.DataflowVar(name, var.ty)
        kept.append(relax.VarBinding(var, value) if replaced else binding)
    return kept


def _count_uses(bindings, output):
    uses = {output: 1}
    for binding in bindings:
        for var in relax.analysis.free_vars(binding.value):
            uses[var] = uses.get(var, 0) + 1
    return uses
