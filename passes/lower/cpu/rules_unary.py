"""Elementwise float32 operators: octet.unary, Relax's scalar functions, and two operands with broadcasting."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from ....targets.x86.elementwise.floats import FloatBinaryProblem, UnaryProblem, binary_float, unary
from ....targets.x86.elementwise.integer import SHARED
from ....targets.x86.elementwise.math import KINDS as KERNELS
from ....targets.x86.layout import SLACK, packed, sure
from ....targets.x86.reformat.choose import ReformatProblem, reformat, vectors
from ....targets.x86.reformat.constant import pack_constant
from ....targets.x86.view import rows_view
from ... import ops
from ...ops import shape_of
from ..scalar_functions import rules_of, scalar_function_of
from .operands import broadcast_operands, images_of

if TYPE_CHECKING:
    from tvm import relax

    from .context import CpuContext
    from .value import Value


def _unary(call: "relax.Call", ctx: "CpuContext", kind: str, parameters: dict[str, float]) -> "Value | None":
    if str(call.ty.dtype) != "float32" or kind not in KERNELS or packed(call.ty.shape.values, "float32") is None:
        return None
    value, rows = ctx.packed(call.args[0]), rows_view(shape_of(call), "float32")
    if value.layout.sparse and 2 * rows.elements <= value.layout.elements:
        value = ctx.rows(call.args[0])  # Of vectors that are mostly padding most values would be computed for nothing.
    return _elementwise(call, ctx, value, kind, tuple(sorted(parameters.items())))


def _elementwise(
    call: "relax.Call", ctx: "CpuContext", value: "Value", kind: str, parameters: tuple[tuple[str, float], ...]
) -> "Value":
    problem = UnaryProblem(kind, value.layout.elements - SLACK, parameters)
    return ctx.emit(unary(problem), [value], value.layout, call.op.name)


def quantized_unary(call: "relax.Call", ctx: "CpuContext", scale: float, zero_point: int) -> "Value":
    """Lowers octet.unary with its result quantised: one kernel where all are whole vectors, else two."""
    value, (kind, parameters) = ctx.packed(call.args[0]), scalar_function_of(call)
    layout, ordered = sure(packed(value.layout.shape, "int8")), tuple(sorted(parameters.items()))
    function: tuple[str, tuple[tuple[str, float], ...]] | None = (kind, ordered)
    if not vectors(value.layout, layout):
        value, function = _elementwise(call, ctx, value, kind, ordered), None
    return ctx.emit(
        reformat(ReformatProblem(value.layout, layout, scale, zero_point, function)), [value], layout, "relax.quantize"
    )


def _binary(kind: str) -> "Callable[[relax.Call, CpuContext], Value | None]":
    def rule(call: "relax.Call", ctx: "CpuContext") -> "Value | None":
        layout = packed(shape_of(call), str(call.ty.dtype))
        if layout is None or layout.dtype != "float32" or not call.ty.shape.values:
            return None
        first, second, how, swapped = broadcast_operands(call, ctx)
        images = images_of(layout.shape)
        problem = FloatBinaryProblem(kind, images, layout.pixels // images, layout.channels, how, swapped)
        return ctx.emit(binary_float(problem), [first, second], layout, call.op.name)

    return rule


def prelu(call: "relax.Call", ctx: "CpuContext") -> "Value | None":
    """Lowers PReLU, whose slopes lie along the channel and are known at compile time."""
    slopes = ctx.constant(call.args[1])
    layout = packed(shape_of(call), str(call.ty.dtype))
    if slopes is None or layout is None:
        return None
    channel = 1 if layout.kind == "nhwc" else len(layout.shape) - 1
    if ops.attrs_of(call)["axis"] % len(layout.shape) != channel and slopes.size != 1:
        return None
    vector = pack_constant(
        sure(packed((1, layout.channels), "float32")),
        slopes.reshape(-1) if slopes.size > 1 else slopes.reshape(-1).repeat(layout.channels),
    )
    problem = FloatBinaryProblem("prelu", 1, layout.pixels, layout.channels, SHARED)
    return ctx.emit(binary_float(problem), [ctx.packed(call.args[0]), vector], layout, call.op.name)


RULES = (
    rules_of(_unary)
    | {"relax.nn.prelu": prelu}
    | {f"relax.{kind}": _binary(kind) for kind in ("add", "subtract", "multiply", "divide", "maximum", "minimum")}
)
