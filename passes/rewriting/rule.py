"""A local rule, applied to `main` binding by binding, in order: what every canonicalisation and repair is written with.

    v: y = f(x)   ->   v: y' = g(x)      where the rule answers with g(x)

A rule sees one binding whose operands are already rewritten, and answers with an expression in its place, or None ("not
mine"). What a rule leaves without users is removed at the end.
"""

from collections.abc import Callable, Iterable
from typing import Any

from tvm import relax
from tvm.ir import Call, GenericConst, IRModule, Op

from .. import ops
from .dataflow_graph import rebuild_expr
from .function import function_of, live_bindings, replace_main
from .identities import Identities

# A rule gets (graph, value, the binding's old variable) and gives what stands for it, or None where it does not apply.
Rule = Callable[["RewriteGraph", relax.Expr, relax.Expr], "relax.Expr | None"]


class RewriteGraph:
    """What a rule may ask and do: definitions and uses of variables, constants, emission."""

    def __init__(self, uses: dict[relax.Var, int]) -> None:
        # The normalizer infers types; the bindings are ours, so that a variable keeps its name.
        self._normalizer = relax.BlockBuilder()
        self._old_uses = uses
        self._uses: dict[relax.Var, int] = {}
        self._values: dict[relax.Var, relax.Expr] = {}
        self._current: Any = None
        self._bindings: list[tuple[relax.Expr, relax.Expr]] = []
        self._derived: set[relax.Var] = set()  # Derived variables stand for nothing that was there before.
        self.changed = False
        self.notes: list[str] = []

    def value(self, expr: relax.Expr) -> relax.Expr:
        """What a variable is bound to; the expression itself for a parameter, a constant or a call."""
        return self._values.get(expr, expr) if isinstance(expr, relax.Var) else expr

    def match(self, expr: relax.Expr, *names: str) -> Any:
        """The call that a variable is bound to, if it is one of the named operators; else None."""
        value = self.value(expr)
        return value if ops.is_op(value, *names) else None

    def unary(self, expr: relax.Expr, kind: str) -> relax.Expr | None:
        """The octet.unary call of this kind that a variable is bound to, or None."""
        value = self.match(expr, "octet.unary")
        return value if value is not None and ops.attrs_of(value)["kind"] == kind else None

    def used_once(self, var: relax.Expr) -> bool:
        """Whether the binding being rewritten is the only user of a variable."""
        return self._uses.get(var, 1) <= 1

    def emit(self, expr: relax.Expr, like: relax.Expr | None = None) -> relax.Expr:
        """Binds a result: in place of the variable `like`, with its identity, or an intermediate one, called after the
        binding being rewritten and the operator."""
        if isinstance(expr, (relax.Var, GenericConst)):
            return expr
        if not isinstance(expr.ty, (relax.TensorType, relax.TupleType)):
            expr = self._normalizer.normalize(expr)
        name = like.name if like is not None else _append(self._current.name, suffix_of(expr))
        var = relax.DataflowVar(name, expr.ty)
        if like is None:
            self._derived.add(var)
        self._bindings.append((var, expr))
        self._values[var] = expr
        return var

    def note(self, text: str) -> None:
        """Records what was not done and why."""
        self.notes.append(text)

    def _step(self, binding: relax.VarBinding, value: relax.Expr, rule: Rule) -> relax.Expr:
        old = binding.var
        self._current, first = old, len(self._bindings)
        new = rule(self, value, old)
        if new is None and value.same_as(binding.value):
            self._bindings.append((old, value))
            self._values[old] = value
            new = old
        else:
            self.changed = True
            # Where the rule itself bound the operator that keeps the name, what it wraps around it gets a suffix.
            taken = any(var.name == old.name for var, _ in self._bindings[first:])
            new = self.emit(value if new is None else new, like=None if taken else old)
        if isinstance(new, relax.Var):
            self._uses[new] = self._uses.get(new, 0) + self._old_uses.get(old, 0)
        return new


def rewrite(mod: IRModule, rule: Rule) -> IRModule:
    """The module after one walk. `rule(graph, value, var) -> Expr | None`: value is a Call or TupleGetItem, var the
    binding's old variable.

    Notes of the rule are appended to the module's attribute "octet.notes".
    """
    main = mod["main"]
    block, output = main.body.blocks[0], main.body.body
    graph, result = RewriteGraph(_count_uses(block.bindings, output)), output
    replaced: dict[relax.Expr, relax.Expr] = {}

    def new(expr: relax.Expr) -> relax.Expr:
        return replaced.get(expr, expr)

    for binding in block.bindings:
        value = rebuild_expr(binding.value, new)
        if binding.var.same_as(output) and isinstance(value, relax.Tuple):
            result = value
            break
        replaced[binding.var] = graph._step(binding, value, rule)
    if not graph.changed and not graph.notes:
        return mod
    result = rebuild_expr(result, new)
    names = (output.name, *(param.name for param in main.params))
    function = function_of(main, *_distinct(live_bindings(graph._bindings, result), result, names, graph._derived))
    rewritten = relax.transform.DeadCodeElimination()(replace_main(mod, function))
    return (
        rewritten.with_attr("octet.notes", list(dict.fromkeys([*notes_of(mod), *graph.notes])))
        if graph.notes
        else rewritten
    )


def notes_of(mod: IRModule) -> list[str]:
    """The notes that earlier passes recorded in the module."""
    return [str(note) for note in mod.attrs["octet.notes"]] if mod.attrs and "octet.notes" in mod.attrs else []


def suffix_of(expr: relax.Expr) -> str:
    """What is appended to the name of a node for a second variable that it needs."""
    return expr.op.name.split(".")[-1] if isinstance(expr, Call) and isinstance(expr.op, Op) else "part"


def _append(name: str, suffix: str) -> str:
    return name if name.endswith(f".{suffix}") else f"{name}.{suffix}"


def _distinct(
    bindings: list[tuple[relax.Var, relax.Expr]],
    result: relax.Expr,
    taken: Iterable[str],
    derived: set[relax.Var],
) -> tuple[list[tuple[relax.Expr, relax.Expr]], relax.Expr]:
    """(the bindings, the result) with no identity given twice. Where two variables want a name, one that stood for
    something before has it."""
    identities, names, kept = Identities(taken), {}, []
    renamed: dict[relax.Var, relax.Var] = {}
    for var, _ in sorted(bindings, key=lambda binding: binding[0] in derived):
        names[var] = identities.unique(var.name)

    def new(expr: relax.Expr) -> relax.Expr:
        return renamed.get(expr, expr)

    for var, value in bindings:
        value = rebuild_expr(value, new) if renamed else value
        if names[var] != var.name:
            renamed[var] = relax.DataflowVar(names[var], var.ty)
        kept.append((new(var), value))
    return kept, rebuild_expr(result, new)


def _count_uses(bindings: list[relax.VarBinding], output: relax.Var) -> dict[relax.Var, int]:
    uses = {output: 1}
    for binding in bindings:
        for var in relax.analysis.free_vars(binding.value):
            uses[var] = uses.get(var, 0) + 1
    return uses
