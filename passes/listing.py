"""A module as text for people: TVMScript in which constants are their types."""

import re
from typing import Any

import tvm
from tvm import relax

_CONSTANT = re.compile(r'metadata\["ir\.GenericConst"\]\[(\d+)\]')
_CALL = re.compile(r', ret_ty=metadata\["relax\.TensorType"\]\[\d+\]')  # The variable's annotation says the same.


def listing(module: Any) -> str:
    """A module as text for people, which is not to be parsed again: the values of constants that are not scalars are
    left out."""
    text = _CALL.sub("", module.script(show_meta=False))
    types = _constants(module)
    if len(set(_CONSTANT.findall(text))) != len(types):
        return text  # The order is not that of the walk; no types are better than wrong ones.
    return _CONSTANT.sub(lambda found: types[int(found[1])], text)


def _constants(module: tvm.IRModule) -> list[str]:
    """The types of all constants that TVMScript leaves to its metadata, in the order in which it prints them."""
    found: dict[str, str] = {}

    def visit(expr: relax.Expr) -> None:
        if isinstance(expr, tvm.ir.GenericConst) and expr.ty.shape.values:
            found.setdefault(
                expr, f"const({expr.ty.dtype}[{', '.join(str(int(extent)) for extent in expr.ty.shape.values)}])"
            )
        for inner in getattr(expr, "args", None) or getattr(expr, "fields", None) or ():
            visit(inner)

    for _, function in sorted(module.functions_items(), key=lambda item: item[0].name_hint):
        if isinstance(function, relax.Function):
            for block in function.body.blocks:
                for binding in block.bindings:
                    visit(binding.value)
    return list(found.values())
