"""Variables named exactly as the ONNX nodes that they come from, so that a report can be read beside the network's picture."""

from tvm import relax
from tvm.ir import IRModule

from ..canonicalize.graph import substitute, suffix_of, with_main


def restore_names(module: IRModule, names) -> IRModule:
    """The module with the variables of `main` renamed. names: {variable: name}; a variable without one is named after the next that has one."""
    func = module["main"]
    (block,) = func.body.blocks
    wanted, following = {}, "output"
    for binding in reversed(list(block.bindings)):
        following = names.get(binding.var, following)
        wanted[binding.var] = following if binding.var in names else f"{following}.{suffix_of(binding.value)}"
    replaced, bindings, normalizer = {}, [], relax.BlockBuilder()
    for binding in block.bindings:
        value = normalizer.normalize(substitute(binding.value, replaced))
        output = binding.var.same_as(func.body.body)
        var = binding.var if output else relax.DataflowVar(wanted[binding.var], binding.var.ty)
        replaced[binding.var] = var
        bindings.append(relax.VarBinding(var, value))
    return with_main(module, bindings, func.body.body)
