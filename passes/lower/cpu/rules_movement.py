"""Concat, split, slices, padding, interleave, flip and pixels out of channels, of packed tensors; the batch stays, and
channels do, except where a slice takes a range."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from tvm import relax

from ....targets.seams import Attrs
from ....targets.x86.layout import Layout, packed
from ....targets.x86.movement.pixels import FILL, ConcatProblem, GatherProblem, channel_axis, concat, gather, pixel_axes
from ....targets.x86.movement.view_copy import ViewCopyProblem, view_copy
from ....targets.x86.view import view_of
from ... import ops
from ...ops import shape_of
from ..pixel_phases import pixel_phases

if TYPE_CHECKING:
    from .context import CpuContext
    from .value import Value


def layouts_of(call: relax.Call) -> Sequence[Any]:
    """(layout of operand 0, layout of the result) packed; None for each without one."""
    return tuple(packed(shape_of(expr), str(expr.ty.dtype)) for expr in (call.args[0], call))


def _axis_of(layout: Layout, axis: int) -> int | None:
    """0, 1, 2 for images, rows, columns of `pixel_axes`; None for the channels."""
    axis %= len(layout.shape)
    if axis == channel_axis(layout):
        return None
    return {"nhwc": {0: 0, 2: 1, 3: 2}}.get(layout.kind, {0: 0, 1: 1} if len(layout.shape) == 3 else {0: 1})[axis]


def gathered(
    call: relax.Call,
    ctx: "CpuContext",
    target: Layout,
    coordinates: Mapping[Any, Any],
    first_channel: int = 0,
    fill: tuple[float, ...] | float = 0,
    depth: tuple[int, int] = (1, 1),
) -> "Value":
    """Emits a kernel that copies pixels from other places. coordinates: {axis of pixel_axes: source coordinates}; the
    others are copied one to one."""
    value = ctx.packed(call.args[0])
    extents = [extent * factor for extent, factor in zip(pixel_axes(value.layout), (1, *depth))]
    axes = [tuple(coordinates.get(i, range(extent))) for i, extent in enumerate(extents)]
    problem = GatherProblem(*(value.layout, target, *axes, first_channel, fill, depth))
    return ctx.emit(gather(problem), [value, *problem.tables], target, call.op.name)


def _constant(call: relax.Call, ctx: "CpuContext") -> bool:
    return ctx.constant(call.args[0]) is not None


def strided_slice(call: relax.Call, ctx: "CpuContext") -> "Value | None":
    """Lowers R.strided_slice of an image by its pixels and channels."""
    source, target = layouts_of(call)
    if source is None or target is None or _constant(call, ctx) or len(source.shape) != len(target.shape):
        return None
    axes, begin, end, *strides = ([int(v.value) for v in arg.fields] for arg in call.args[1:])
    if (part := _first_axis(call, ctx, axes, begin, end, strides, target)) is not None:
        return part
    coordinates, first = {}, 0
    for axis, start, stop, step in zip(axes, begin, end, strides[0] if strides else [1] * len(axes)):
        size = source.shape[axis]
        taken = range(size)[slice(start, stop, step)] if step > 0 else _backwards(size, start, stop, step)
        where = _axis_of(source, axis)
        if where is None:
            if step != 1:
                return None
            first = taken[0]
        else:
            coordinates[where] = taken
    return gathered(call, ctx, target, coordinates, first)


def _first_axis(
    call: relax.Call,
    ctx: "CpuContext",
    axes: list[int],
    begin: list[int],
    end: list[int],
    strides: list[list[int]],
    target: Layout,
) -> "Value | None":
    """A range of the outermost axis, which lies in one piece."""
    shape = shape_of(call.args[0])
    outer = next((axis for axis, extent in enumerate(shape) if extent > 1), None)
    if len(axes) != 1 or axes[0] % len(shape) != outer or any(step != 1 for each in strides for step in each):
        return None
    value = ctx.packed(call.args[0])
    if outer == channel_axis(value.layout) or (value.layout.kind == "nhwc" and outer > 0):
        return None
    start = range(shape[outer])[begin[0] : end[0]][0]
    return ctx.part(
        value,
        start * prod(shape[outer + 1 : -1] if value.layout.kind == "rows" else shape[2:]) * value.layout.channel_stride,
        target,
    )


def _backwards(size: int, start: int, stop: int, step: int) -> range:
    start = min(start + size if start < 0 else start, size - 1)
    return range(start, max(stop + size if stop < 0 else stop, -1), step)


def split(call: relax.Call, ctx: "CpuContext") -> "Sequence[Value] | None":
    """Lowers R.split to a gather for each part."""
    source = _layout_of(call.args[0])
    if source is None or _constant(call, ctx):
        return None
    axis = int(ops.attrs_of(call)["axis"]) % len(source.shape)
    where, start, parts = _axis_of(source, axis), 0, []
    for field in call.ty.fields:
        target = _layout_of_type(field)
        size = target.shape[axis]
        coordinates = {} if where is None else {where: range(start, start + size)}
        parts.append(gathered(call, ctx, target, coordinates, start if where is None else 0))
        start += size
    return tuple(parts)


def _layout_of(expr: relax.Expr) -> Layout:
    return _layout_of_type(expr.ty)


def _layout_of_type(ty: relax.TensorType) -> Any:
    return packed([int(d) for d in ty.shape.values], str(ty.dtype))


def pad(call: relax.Call, ctx: "CpuContext") -> "Value | None":
    """Lowers a padding of rows and columns: by a constant, the border repeated, or reflected."""
    source, target = layouts_of(call)
    attrs = ops.attrs_of(call)
    if _constant(call, ctx):
        return None
    coordinates = {}
    for axis, (before, after) in enumerate(zip(attrs["pad_width"][0::2], attrs["pad_width"][1::2])):
        if (before, after) == (0, 0):
            continue
        where = _axis_of(source, axis) if source is not None else None
        if where is None:
            return _plain_pad(call, ctx, attrs)
        coordinates[where] = _bordered(source.shape[axis], before, after, attrs["pad_mode"])
    return gathered(call, ctx, target, coordinates, fill=_stored(attrs["pad_value"], source))


def _plain_pad(call: relax.Call, ctx: "CpuContext", attrs: Attrs) -> "Value | None":
    """Over channels, or of another rank: TVM's operator on the stored bytes of an int8 tensor, whose padding is stored
    with 128 added too if they are codes."""
    if str(call.ty.dtype) != "int8":
        return None
    value = ctx.plain(call.args[0])
    padded = relax.op.nn.pad(
        value.var, attrs["pad_width"], attrs["pad_mode"], _stored(attrs["pad_value"], value.layout)
    )
    ctx.fallbacks.append(call.op.name)
    return type(value)(ctx.builder.emit(padded), Layout("plain", shape_of(call), value.layout.dtype))


_MODES: dict[str, dict[str, Any]] = {
    "constant": {"constant_values": FILL},
    "reflect": {"mode": "reflect"},
    "replicate": {"mode": "edge"},
    "edge": {"mode": "edge"},
    "circular": {"mode": "wrap"},
}


def _bordered(extent: int, before: int, after: int, mode: str = "constant") -> list[int]:
    """Coordinates along an axis with a border."""
    return np.pad(np.arange(extent), (before, after), **_MODES[mode]).tolist()


def _stored(value: float, layout: Any) -> float:
    return int(value) + 128 if layout.dtype == "int8" else float(value)


def interleave(call: relax.Call, ctx: "CpuContext") -> "Value | None":
    """Lowers octet.interleave, which puts pixels apart, with `fill` between them."""
    source, target = layouts_of(call)
    attrs = ops.attrs_of(call)
    coordinates = {}
    for where, (size, stride) in enumerate(zip(source.shape[2:], attrs["strides"]), start=1):
        coordinates[where] = [i // stride if i % stride == 0 else FILL for i in range((size - 1) * stride + 1)]
    return gathered(call, ctx, target, coordinates, fill=_stored(attrs["fill"], source))


def depth_to_space(call: relax.Call, ctx: "CpuContext") -> "Value | None":
    """Lowers octet.depth_to_space: pixel by pixel, or element by element where a pixel would be mostly padding."""
    target, strides = layouts_of(call)[1], tuple(ops.attrs_of(call)["strides"])
    if _constant(call, ctx):
        return None
    if not target.sparse:
        return gathered(call, ctx, target, {}, depth=strides)
    value, plain = ctx.strided(call.args[0]), Layout("plain", target.shape, target.dtype)
    source, to = value.layout, view_of(plain)
    shape, *steps = pixel_phases(target.shape, strides, source.strides, to.strides)
    views = (replace(view, shape=shape, strides=taken) for view, taken in zip((source, to), steps))
    return ctx.emit(view_copy(ViewCopyProblem(*views)), [value], plain, call.op.name)


def frame(call: relax.Call, ctx: "CpuContext") -> "Value | None":
    """Lowers octet.frame: an image with a border that is given channel by channel."""
    source, target = layouts_of(call)
    attrs = ops.attrs_of(call)
    if _constant(call, ctx):
        return None
    top, left, bottom, right = attrs["padding"]
    framed = {1: _bordered(source.shape[2], top, bottom), 2: _bordered(source.shape[3], left, right)}
    return gathered(call, ctx, target, framed, fill=tuple(_stored(value, source) for value in attrs["fill"]))


def flip(call: relax.Call, ctx: "CpuContext") -> "Value | None":
    """Lowers R.flip of an image, pixel by pixel."""
    source, target = layouts_of(call)
    if source is None or _constant(call, ctx):
        return None
    axis = int(ops.attrs_of(call)["axis"]) % len(source.shape)
    where = _axis_of(source, axis)
    return None if where is None else gathered(call, ctx, target, {where: range(source.shape[axis] - 1, -1, -1)})


def concatenate(call: Any, ctx: "CpuContext") -> "Value | None":
    """Lowers R.concat along channels or pixels."""
    operands = call.args[0]
    fields = list(operands.fields) if isinstance(operands, relax.Tuple) else None
    axis = ops.attrs_of(call)["axis"]
    target = packed(shape_of(call), str(call.ty.dtype))
    if fields is None or axis is None or target is None or len(target.shape) < 2:
        return None
    values = [ctx.packed(field) for field in fields]
    problem = ConcatProblem(tuple(value.layout for value in values), int(axis) % len(target.shape))
    return ctx.emit(concat(problem), values, target, call.op.name)


RULES = {
    "relax.concat": concatenate,
    "relax.split": split,
    "relax.strided_slice": strided_slice,
    "relax.nn.pad": pad,
    "octet.interleave": interleave,
    "octet.depth_to_space": depth_to_space,
    "octet.frame": frame,
    "relax.flip": flip,
}
