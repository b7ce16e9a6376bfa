"""octet.add, octet.mul, octet.requantize and octet.table."""

from typing import TYPE_CHECKING

from ....targets.cuda.kernels.elementwise import Binary, binary, operand_steps, requantize, table
from ....targets.cuda.layout import CudaLayout, pack, packed
from ... import ops
from ...ops import shape_of
from .context import CudaTensor

if TYPE_CHECKING:
    from tvm import relax

    from .context import CudaContext


def add(call: "relax.Call", ctx: "CudaContext") -> CudaTensor | None:
    """Lowers octet.add, a sum of two int8 tensors."""
    return _binary(call, ctx, False)


def mul(call: "relax.Call", ctx: "CudaContext") -> CudaTensor | None:
    """Lowers octet.mul, a product of two int8 tensors."""
    return _binary(call, ctx, True)


def _binary(call: "relax.Call", ctx: "CudaContext", product: bool) -> CudaTensor | None:
    attrs = ops.attrs_of(call)
    shape = shape_of(call)
    if not 1 <= len(shape) <= 4:
        return None
    shape = (1,) * (2 - len(shape)) + shape  # A vector is a matrix of one row.
    result = packed(shape, "int8")
    operands = [_operand(arg, len(shape), ctx) for arg in call.args]
    a, b = (operand_steps(operand.layout, result) for operand in operands)
    multipliers = (attrs["multiplier"], 0.0) if product else (attrs["a_multiplier"], attrs["b_multiplier"])
    problem = Binary(
        product,
        *result.image,
        result.stride,
        *a[:3],
        *b[:3],
        a[3],
        b[3],
        attrs["a_zero_point"],
        attrs["b_zero_point"],
        attrs["out_zero_point"],
        attrs["clip_min"],
        attrs["clip_max"],
        *map(float, multipliers),
    )
    out = ctx.emit(binary(problem), operands, result, call.op.name)
    return out if len(call.ty.shape.values) > 1 else ctx.formed(out, CudaLayout("plain", shape, "int8"))


def _operand(arg: "relax.Expr", rank: int, ctx: "CudaContext") -> CudaTensor:
    """The operand packed, in the rank of the result."""
    shape = shape_of(arg)
    shape = (1,) * (rank - len(shape)) + shape
    layout = packed(shape, "int8")
    constant = ctx.constant(arg)
    if constant is not None:
        return CudaTensor(layout, ctx.array(pack(layout, constant.reshape(shape))))
    value = ctx.find(arg)
    if value.layout.shape != shape:
        value = CudaTensor(CudaLayout("plain", shape, "int8"), ctx.plain(arg).storage)
    return ctx.formed(value, layout)


def requantize_rule(call: "relax.Call", ctx: "CudaContext") -> CudaTensor | None:
    """Lowers octet.requantize, int8 to another scale and zero point."""
    attrs, value = ops.attrs_of(call), ctx.find(call.args[0])
    kernel = requantize(
        value.layout,
        attrs["data_zero_point"],
        attrs["out_zero_point"],
        attrs["clip_min"],
        attrs["clip_max"],
        float(attrs["multiplier"]),
    )
    return ctx.emit(kernel, [value], value.layout, call.op.name)


def table_rule(call: "relax.Call", ctx: "CudaContext") -> CudaTensor | None:
    """A table per channel needs the channels innermost."""
    tables = ctx.constant(call.args[1])
    value = ctx.find(call.args[0]) if tables.ndim == 1 else ctx.packed(call.args[0])
    if tables.ndim == 2 and (value.layout.kind != "packed" or len(value.layout.shape) == 3):
        return None
    kernel, constant = table(value.layout, tables)
    return ctx.emit(kernel, [value, constant], value.layout, call.op.name)


RULES = {"octet.add": add, "octet.mul": mul, "octet.requantize": requantize_rule, "octet.table": table_rule}
