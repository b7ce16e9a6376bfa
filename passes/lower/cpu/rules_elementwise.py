"""octet.add, octet.mul, octet.requantize and octet.table on packed bytes."""

from typing import TYPE_CHECKING

from ....targets.x86.elementwise.integer import BinaryProblem, RequantizeProblem, binary, requantize_kernel
from ....targets.x86.elementwise.table import TableProblem, pack_tables, table_kernel
from ....targets.x86.elementwise.table_affine import affine_kernel, lines_of, pad_lines
from ....targets.x86.isa import UNITS
from ....targets.x86.layout import packed, sure
from ....targets.x86.vector_loops import default_loops
from ... import ops
from ...ops import shape_of
from .operands import broadcast_operands, images_of
from .tuned import schedule_of

if TYPE_CHECKING:
    from tvm import relax

    from .context import CpuContext
    from .value import Value


def add(call: "relax.Call", ctx: "CpuContext") -> "Value":
    """Lowers octet.add, a sum of two int8 tensors."""
    return _binary(call, ctx, "add")


def mul(call: "relax.Call", ctx: "CpuContext") -> "Value":
    """Lowers octet.mul, a product of two int8 tensors."""
    return _binary(call, ctx, "mul")


def _binary(call: "relax.Call", ctx: "CpuContext", kind: str) -> "Value":
    """Sum and product commute, so the operand that is broadcast goes second, with its zero point and multiplier."""
    attrs = ops.attrs_of(call)
    layout = sure(packed(shape_of(call), "int8"))
    first, second, how, swapped = broadcast_operands(call, ctx)
    a, b = ("b", "a") if swapped else ("a", "b")
    images = images_of(layout.shape)
    multipliers = (attrs["multiplier"], 0.0) if kind == "mul" else (attrs[f"{a}_multiplier"], attrs[f"{b}_multiplier"])
    problem = BinaryProblem(
        *(
            kind,
            images,
            layout.pixels // images,
            layout.channels,
            attrs[f"{a}_zero_point"],
            attrs[f"{b}_zero_point"],
            attrs["out_zero_point"],
            *multipliers,
            attrs["clip_min"],
            attrs["clip_max"],
            how,
        ),
    )
    schedule, notes = schedule_of(problem, ctx, default_loops)
    return ctx.emit(binary(problem, schedule), [first, second], layout, call.op.name, notes=notes)


def requantize(call: "relax.Call", ctx: "CpuContext") -> "Value":
    """Lowers octet.requantize, in the layout in which the tensor lies."""
    attrs = ops.attrs_of(call)
    value = ctx.value(call.args[0])
    if value.layout.kind == "plain":
        value = ctx.packed(call.args[0])
    layout = value.layout
    problem = RequantizeProblem(
        layout.pixels * layout.channel_stride,
        attrs["data_zero_point"],
        attrs["out_zero_point"],
        attrs["multiplier"],
        attrs["clip_min"],
        attrs["clip_max"],
    )
    schedule, notes = schedule_of(problem, ctx, default_loops)
    return ctx.emit(requantize_kernel(problem, schedule), [value], layout, call.op.name, notes=notes)


def table(call: "relax.Call", ctx: "CpuContext") -> "Value":
    """Lowers octet.table, one for the tensor or one per channel."""
    values = ctx.constant(call.args[1])
    value = ctx.packed(call.args[0])
    layout = value.layout
    per_channel = values.ndim == 2
    assert not per_channel or layout.kind == "nhwc" or len(layout.shape) == 2, (
        f"a table per channel needs channels on axis 1, not {layout.shape}"
    )
    lines = lines_of(values) if per_channel and layout.channel_stride % 16 == 0 else None
    if lines is not None:
        operands = [value, pad_lines(lines.scale), pad_lines(lines.shift)]
        return ctx.emit(
            affine_kernel(layout.pixels, layout.channels, lines.low, lines.high), operands, layout, call.op.name
        )
    problem = TableProblem(layout.pixels, layout.channels, per_channel, UNITS[ctx.spec.dot].vbmi)
    schedule, notes = schedule_of(problem, ctx, default_loops)
    return ctx.emit(
        table_kernel(problem, schedule), [value, pack_tables(problem, values)], layout, call.op.name, notes=notes
    )


RULES = {"octet.add": add, "octet.mul": mul, "octet.requantize": requantize, "octet.table": table}
