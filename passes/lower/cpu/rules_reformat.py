"""Quantize, dequantize, and reshapes that move no byte."""

from math import prod
from typing import TYPE_CHECKING

from tvm import relax

from ....targets.x86.layout import Layout, packed, sure
from ....targets.x86.reformat.choose import ReformatProblem, reformat
from ....targets.x86.view import as_layout, reshaped, transposed, view_of
from ...ops import permutation, shape_of

if TYPE_CHECKING:
    from .context import CpuContext
    from .value import Value


def quantize(call: relax.Call, ctx: "CpuContext") -> "Value | None":
    """Lowers R.quantize per tensor -> one kernel from whatever layout the float tensor has to packed bytes."""
    return _convert(call, ctx, "float32", "int8", plain_ranks=())


def dequantize(call: relax.Call, ctx: "CpuContext") -> "Value | None":
    """Lowers R.dequantize per tensor; a matrix comes out plain, as most are results of the network."""
    return _convert(call, ctx, "int8", "float32", plain_ranks=(2,))


def _convert(
    call: relax.Call, ctx: "CpuContext", source: str, target: str, plain_ranks: tuple[int, ...]
) -> "Value | None":
    scale, zero_point = (ctx.constant(arg) for arg in call.args[1:3])
    if scale is None or zero_point is None or scale.size != 1 or zero_point.size != 1:
        return None
    if str(call.args[0].ty.dtype) != source or str(call.ty.dtype) != target:
        return None
    value = ctx.value(call.args[0])
    layout = packed(value.layout.shape, target)
    if layout is None or len(layout.shape) in plain_ranks:
        layout = Layout("plain", value.layout.shape, target)
    func = reformat(ReformatProblem(value.layout, layout, float(scale.reshape(())), int(zero_point.reshape(()))))
    return ctx.emit(func, [value], layout, call.op.name)


def reshape(call: relax.Call, ctx: "CpuContext") -> "Value | None":
    """A view where the new shape needs no copy."""
    if isinstance(call.args[0], relax.Tuple) or ctx.constant(call.args[0]) is not None:
        return None
    value = ctx.find(call.args[0])
    shape = shape_of(call)
    if value.layout.kind == "plain" or str(call.ty.dtype) not in ("int8", "float32"):
        return _alias(call, ctx, shape)
    layout = packed(shape, str(call.ty.dtype))
    if layout is not None and value.layout.kind != "view" and _same_bytes(value.layout, layout):
        return type(value)(value.var, layout)
    view = reshaped(view_of(value.layout), shape)
    return type(value)(value.var, as_layout(view) or view) if view is not None else _alias(call, ctx, shape)


def _alias(call: relax.Call, ctx: "CpuContext", shape: tuple[int, ...]) -> "Value":
    """The plain tensor under another shape."""
    value = ctx.plain(call.args[0])
    return type(value)(ctx.builder.emit(relax.op.reshape(value.var, shape)), Layout("plain", shape, value.layout.dtype))


def _same_bytes(old: Layout, new: Layout) -> bool:
    if old.channels != new.channels or old.pixels != new.pixels:
        return False
    outer = {
        layout: layout.shape[0] if layout.kind == "nhwc" and prod(layout.shape[2:]) > 1 else None
        for layout in (old, new)
    }
    if outer[old] is None and outer[new] is None:
        return True  # Of rows, and of images of one pixel, the logical order is the packed one.
    return old.kind == new.kind and old.shape[0] == new.shape[0]  # NCHW becomes NCH'W' with H*W = H'*W'.


def permute_dims(call: relax.Call, ctx: "CpuContext") -> "Value | None":
    """A view of what lies strided already; else NCHW <-> NHWC and [N, K, M] -> [N, M, K], the copies that a reformat
    does; else a view."""
    axes = permutation(call)
    dtype = str(call.ty.dtype)
    if dtype not in ("int8", "float32") or ctx.constant(call.args[0]) is not None:
        return None
    shape = shape_of(call.args[0])
    value = ctx.strided(call.args[0])
    view = transposed(value.layout, axes)
    layout = as_layout(view)
    if layout is not None or ctx.find(call.args[0]).layout.kind == "view" or value.layout.dtype != dtype:
        return type(value)(value.var, layout or view)
    if axes == [0, 2, 3, 1]:  # The result is the packed tensor without its padding channels.
        value = ctx.packed(call.args[0])
        return _relabelled(call, ctx, value, Layout("rows", (shape[0] * shape[2] * shape[3], shape[1]), dtype), "plain")
    if axes == [0, 3, 1, 2]:
        value = ctx.plain(call.args[0])
        return _relabelled(call, ctx, value, Layout("plain", (prod(shape[:3]), shape[3]), dtype), "rows")
    if axes in ([0, 2, 1], [1, 0]):  # A matrix is taken for NCHW with one column: channels innermost is the transpose.
        value = ctx.plain(call.args[0])
        shape = (1,) * (3 - len(shape)) + shape
        return _relabelled(call, ctx, value, Layout("plain", (*shape, 1), dtype), "nhwc")
    return type(value)(value.var, view)


def _relabelled(call: relax.Call, ctx: "CpuContext", value: "Value", source: Layout, kind: str) -> "Value":
    """The bytes of `value` read as `source`, reformatted to `kind`, and the result read as the call's own shape."""
    shape = shape_of(call)
    target = Layout(kind, source.shape, source.dtype)
    layout = Layout("plain", shape, source.dtype) if kind == "plain" else sure(packed(shape, source.dtype))
    return ctx.emit(reformat(ReformatProblem(source, target)), [value], layout, call.op.name)


RULES = {
    "relax.quantize": quantize,
    "relax.dequantize": dequantize,
    "relax.reshape": reshape,
    "relax.squeeze": reshape,
    "relax.expand_dims": reshape,
    "relax.flatten": reshape,
    "relax.nn.batch_flatten": reshape,
    "relax.permute_dims": permute_dims,
}
