"""Rebuilds `main` with every `octet.observe` replaced: the one walk that collection and the hub share."""

from collections.abc import Callable

from tvm import IRModule, relax

from ..ops import is_op


def replace_observers(mod: IRModule, replace: Callable, outputs: Callable | None = None) -> IRModule:
    """replace(builder, call, x): the expression that takes the place of `octet.observe(x)`; `call` is the old one, `x` its rewritten
    operand. outputs(value): a list of expressions to return instead of the results, given {old variable: new expression}."""
    function = mod["main"]
    builder = relax.BlockBuilder()
    params = [relax.Var(p.name, p.ty) for p in function.params]
    value = dict(zip(function.params, params))

    def rewritten(expr):
        if isinstance(expr, relax.Var):
            return value[expr]
        if isinstance(expr, relax.Tuple):
            return relax.Tuple([rewritten(field) for field in expr.fields])
        if isinstance(expr, relax.TupleGetItem):
            return relax.TupleGetItem(rewritten(expr.tuple_value), expr.index)
        if isinstance(expr, relax.Call):
            return relax.Call(expr.op, [rewritten(arg) for arg in expr.args], expr.attrs, expr.ty_args)
        return expr

    with builder.function("main", params):
        with builder.dataflow():
            for block in function.body.blocks:
                for binding in block.bindings:
                    if is_op(binding.value, "octet.observe"):
                        value[binding.var] = replace(builder, binding.value, rewritten(binding.value.args[0]))
                    elif isinstance(binding.value, relax.Var):
                        value[binding.var] = value[binding.value]
                    else:
                        value[binding.var] = builder.emit(rewritten(binding.value), name_hint=binding.var.name)
            result = relax.Tuple(outputs(value)) if outputs is not None else rewritten(function.body.body)
            result = builder.emit_output(result)
        builder.emit_func_output(result)
    replaced = IRModule(dict(mod.functions_items()), attrs=mod.attrs)
    function = builder.get()["main"]
    replaced["main"] = function.with_attrs(dict(mod["main"].attrs.items())) if mod["main"].attrs else function
    return replaced
