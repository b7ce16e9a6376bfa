"""Whether a module is what every pass promises: well formed, static, one dataflow block, operators as defined."""

import tvm
from tvm import relax


class InvalidModule(AssertionError):
    """What a pass made is not what passes promise each other: a bug of that pass, never the user's mistake."""


def verify_module(module: tvm.IRModule, made_by: str) -> None:
    """Raises InvalidModule, which names the pass `made_by` and the first fault."""
    try:
        # Every type is inferred again, which verifies every call of Octet's operators.
        relax.analysis.well_formed(module)
    except Exception as error:  # TVM raises what its checks happen to raise.
        raise InvalidModule(f"{made_by}: {_said(error)}") from error
    for var, function in module.functions_items():
        if isinstance(function, relax.Function):
            _verify_function(function, f"{made_by}: {var.name_hint}")


def _verify_function(function: relax.Function, where: str) -> None:
    blocks = function.body.blocks
    if len(blocks) != 1 or not isinstance(blocks[0], relax.DataflowBlock):
        raise InvalidModule(f"{where} is not one dataflow block, but {len(blocks)}")
    for var in (*function.params, *(binding.var for binding in blocks[0].bindings)):
        for ty in var.ty.fields if isinstance(var.ty, relax.TupleType) else [var.ty]:
            if not _static(ty):
                raise InvalidModule(f"{where}: {var.name} is {ty}: its type or its shape is not known")


def _static(ty: relax.TensorType) -> bool:
    if isinstance(ty, relax.TupleType):
        return all(map(_static, ty.fields))
    if not isinstance(ty, relax.TensorType):
        return isinstance(ty, relax.ShapeType)
    extents = None if ty.shape is None else getattr(ty.shape, "values", None)
    return extents is not None and all(isinstance(extent, (int, tvm.tirx.IntImm)) for extent in extents)


def _said(error: Exception) -> str:
    """The last line of a message that says something: TVM puts the reason behind the expression."""
    lines = [
        line.strip()
        for line in str(error).splitlines()
        if line.strip() and not line.lstrip().startswith(("#", "File "))
    ]
    return lines[-1] if lines else type(error).__name__
