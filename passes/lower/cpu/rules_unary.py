"""Elementwise float32 operators: octet.unary, Relax's scalar functions, and two operands with broadcasting."""

from ....targets.x86.elementwise.floats import FloatBinaryProblem, UnaryProblem, binary_float, unary
from ....targets.x86.elementwise.integer import SHARED
from ....targets.x86.elementwise.math import KINDS as KERNELS
from ....targets.x86.layout import packed
from ....targets.x86.reformat.constant import pack_constant
from ... import ops
from ...operators.relax_operators import KINDS
from ...unary import PARAMETERS
from .operands import broadcast_operands, images_of

_SELU = {"alpha": 1.6732632423543772, "gamma": 1.0507009873554805}


def octet_unary(call, ctx):
    attrs = ops.attrs_of(call)
    return _unary(call, ctx, attrs["kind"], {name: float(attrs[name]) for name in PARAMETERS.get(attrs["kind"], ())})


def _fixed(kind, parameters=None):
    return lambda call, ctx: _unary(call, ctx, kind, parameters or {})


def leaky_relu(call, ctx):
    return _unary(call, ctx, "leaky_relu", {"alpha": float(ops.attrs_of(call)["alpha"])})


def clip(call, ctx):
    low, high = (float(arg.value) for arg in call.args[1:3])
    return _unary(call, ctx, "clip", {"low": low, "high": high})


def _unary(call, ctx, kind, parameters):
    if str(call.ty.dtype) != "float32" or kind not in KERNELS or packed(call.ty.shape.values, "float32") is None:
        return None
    value = ctx.packed(call.args[0])
    problem = UnaryProblem(kind, value.layout.pixels * value.layout.channel_stride, tuple(sorted(parameters.items())))
    return ctx.emit(unary(problem), [value], value.layout, call.op.name)


def _binary(kind):
    def rule(call, ctx):
        layout = packed((int(d) for d in call.ty.shape.values), str(call.ty.dtype))
        if layout is None or layout.dtype != "float32" or not call.ty.shape.values:
            return None
        first, second, how, swapped = broadcast_operands(call, ctx)
        images = images_of(layout.shape)
        problem = FloatBinaryProblem(kind, images, layout.pixels // images, layout.channels, how, swapped)
        return ctx.emit(binary_float(problem), [first, second], layout, call.op.name)

    return rule


def prelu(call, ctx):
    """Slopes along the channel; ctx gives them at compile time."""
    slopes = ctx.constant(call.args[1])
    layout = packed((int(d) for d in call.ty.shape.values), str(call.ty.dtype))
    if slopes is None or layout is None:
        return None
    channel = 1 if layout.kind == "nhwc" else len(layout.shape) - 1
    if ops.attrs_of(call)["axis"] % len(layout.shape) != channel and slopes.size != 1:
        return None
    vector = pack_constant(packed((1, layout.channels), "float32"), slopes.reshape(-1) if slopes.size > 1 else slopes.reshape(-1).repeat(layout.channels))
    problem = FloatBinaryProblem("prelu", 1, layout.pixels, layout.channels, SHARED)
    return ctx.emit(binary_float(problem), [ctx.packed(call.args[0]), vector], layout, call.op.name)


RULES = (
    {"octet.unary": octet_unary, "relax.clip": clip, "relax.nn.leakyrelu": leaky_relu, "relax.nn.prelu": prelu}
    | {"relax.nn.relu": _fixed("relu"), "relax.nn.relu6": _fixed("clip", {"low": 0.0, "high": 6.0}), "relax.nn.selu": _fixed("selu", _SELU)}
    | {name: _fixed(kind) for name, kind in KINDS.items()}
    | {"relax.negative": _fixed("negative"), "relax.square": _fixed("square")}
    | {f"relax.{kind}": _binary(kind) for kind in ("add", "subtract", "multiply", "divide", "maximum", "minimum")}
)
