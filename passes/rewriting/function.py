"""What both engines make of their bindings: a new `main`, of what somebody reads."""

from collections.abc import Sequence

from tvm import IRModule, relax

from .dataflow_graph import Binding, variables


def live_bindings(bindings: list[Binding], result: relax.Expr) -> list[Binding]:
    """The (variable, value) that `result` needs, in order."""
    needed, found = set(variables(result)), []
    for var, value in reversed(bindings):
        if var in needed:
            needed.update(variables(value))
            found.append((var, value))
    return found[::-1]


def function_of(
    old: relax.Function,
    bindings: list[Binding],
    result: relax.Expr,
    params: Sequence[relax.Expr] | None = None,
) -> relax.Function:
    """`old` with other bindings and another result, which has the name of the old one. params: the parameters where
    they are not those of `old`."""
    normalizer = relax.BlockBuilder()
    result = normalizer.normalize(result)
    output = relax.Var(old.body.body.name, result.ty)
    block = relax.DataflowBlock([relax.VarBinding(var, value) for var, value in (*bindings, (output, result))])
    body = normalizer.normalize(relax.SeqExpr([block], output))
    return relax.Function(list(old.params if params is None else params), body, output.ty, old.is_pure, old.attrs)


def replace_main(module: IRModule, function: relax.Function) -> IRModule:
    """`module` with `function` as its `main`."""
    functions = dict(module.functions_items())
    functions[module.get_global_var("main")] = function
    return IRModule(functions, attrs=module.attrs)
