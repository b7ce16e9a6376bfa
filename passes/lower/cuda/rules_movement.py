"""Everything that only moves data, and the border between float32 and int8: all of it is
`targets/cuda/kernels/movement.py`."""

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from ....targets.cuda.kernels import movement
from ....targets.cuda.layout import Strided, packed, plain, reshaped, row_layout
from ... import ops
from ...ops import shape_of
from ...referee.resize import nearest_indices
from ..pixel_phases import pixel_phases
from .context import CudaTensor

if TYPE_CHECKING:
    from tvm import relax

    from ....targets.cuda.kernels.movement import Move
    from ....targets.cuda.layout import CudaLayout
    from .context import CudaContext


def _moved(
    call: "relax.Call", ctx: "CudaContext", value: CudaTensor, region: "Move", layout: "CudaLayout | None" = None
) -> CudaTensor:
    layout = layout if layout is not None else packed(shape_of(call), str(call.ty.dtype))
    return ctx.emit(movement.move(region, np.dtype(layout.dtype).itemsize), [value], layout, call.op.name)


def quantize(call: "relax.Call", ctx: "CudaContext") -> CudaTensor | None:
    """Lowers R.quantize to one scale, laid out as int8 kernels want it."""
    scale, zero_point = (ctx.constant(arg) for arg in call.args[1:3])
    if (
        scale is None
        or scale.size != 1
        or zero_point.size != 1
        or str(call.args[0].ty.dtype) != "float32"
        or str(call.ty.dtype) != "int8"
    ):
        return None
    value, user = ctx.find(call.args[0]), ctx.only_user(ctx.var)
    layout = row_layout(value.layout.shape) if ops.is_op(user, "octet.matmul") else packed(value.layout.shape, "int8")
    kernel = movement.quantize(value.layout, layout, scale.reshape(())[()], int(zero_point.reshape(())))
    return ctx.emit(kernel, [value], layout, call.op.name)


def dequantize(call: "relax.Call", ctx: "CudaContext") -> CudaTensor | None:
    """Lowers R.dequantize of a tensor with one scale."""
    scale, zero_point = (ctx.constant(arg) for arg in call.args[1:3])
    if (
        scale is None
        or scale.size != 1
        or zero_point.size != 1
        or str(call.args[0].ty.dtype) != "int8"
        or str(call.ty.dtype) != "float32"
    ):
        return None
    value = ctx.find(call.args[0])
    layout = plain(value.layout.shape, "float32")
    kernel = movement.dequantize(
        movement.copy(value.layout, layout), scale.reshape(())[()], int(zero_point.reshape(()))
    )
    return ctx.emit(kernel, [value], layout, call.op.name)


def reshape(call: "relax.Call", ctx: "CudaContext") -> CudaTensor:
    """A view: plain tensors always, packed ones where the channels stay and nothing else moves, strided ones where axes
    are split."""
    shape = shape_of(call)
    value = ctx.view(call.args[0])
    if isinstance(value.layout, Strided) and (steps := reshaped(value.layout, shape)) is not None:
        return CudaTensor(Strided(shape, steps, value.layout.dtype), value.storage)
    value = ctx.find(call.args[0])
    layout = packed(shape, value.layout.dtype)
    if value.layout.kind == "packed" and layout.kind == "packed" and _same_bytes(value.layout, layout):
        return CudaTensor(layout, value.storage)
    return CudaTensor(plain(shape, value.layout.dtype), ctx.plain(call.args[0]).storage)


def _same_bytes(old: "CudaLayout", new: "CudaLayout") -> bool:
    """Rows of one channel count in one order: pixels of an image count as rows only if there is one per image or the
    images stay."""
    if old.channels != new.channels or old.pixels != new.pixels:
        return False
    single = [len(layout.shape) != 4 or prod(layout.shape[2:]) == 1 for layout in (old, new)]
    return all(single) or (len(old.shape) == len(new.shape) == 4 and old.shape[0] == new.shape[0])


def permute_dims(call: "relax.Call", ctx: "CudaContext") -> CudaTensor:
    """Lowers R.permute_dims. Those of int8 and rank 4 are mostly heads of attention, which products read and write
    where they lie."""
    value = ctx.view(call.args[0])
    rank, shape = len(value.layout.shape), shape_of(call)
    axes = ops.permutation(call)
    steps = tuple(value.layout.steps[axis] for axis in axes)
    if rank == 4 and value.layout.dtype == "int8":
        whole = plain(shape, "int8")
        alike = (
            all(extent == 1 or a == b for extent, a, b in zip(shape, steps, whole.steps))
            and value.storage.bytes == whole.bytes
        )
        return CudaTensor(whole if alike else Strided(shape, steps, "int8"), value.storage)
    value = ctx.find(call.args[0])
    layout = (packed if rank < 4 else plain)(shape, value.layout.dtype)
    return _moved(
        call,
        ctx,
        value,
        movement.region(layout.shape, 0, [value.layout.steps[axis] for axis in axes], 0, layout.steps),
        layout,
    )


def concat(call: "relax.Call", ctx: "CudaContext") -> CudaTensor:
    """Lowers R.concat: each part is moved to its place."""
    axis = ops.attrs_of(call)["axis"] or 0
    layout = packed(shape_of(call), str(call.ty.dtype))
    axis, start, result = axis % len(layout.shape), 0, ctx.empty(layout)
    parts = (
        ctx.values[call.args[0]] if call.args[0] in ctx.values else [ctx.find(field) for field in call.args[0].fields]
    )
    for part in parts:
        region = movement.region(part.layout.shape, 0, part.layout.steps, start * layout.steps[axis], layout.steps)
        ctx.emit(movement.move(region, np.dtype(layout.dtype).itemsize), [part], layout, call.op.name, into=result)
        start += part.layout.shape[axis]
    return result


def strided_slice(call: "relax.Call", ctx: "CudaContext") -> CudaTensor:
    """Lowers R.strided_slice to one movement."""
    value = ctx.find(call.args[0])
    axes, begin, end, *strides = (
        [int(v.value) if hasattr(v, "value") else int(v) for v in _items(arg)] for arg in call.args[1:]
    )
    shape = shape_of(call)
    start, steps = 0, list(value.layout.steps)
    for axis, first, step in zip(axes, begin, strides[0] if strides else [1] * len(axes), strict=True):
        size = value.layout.shape[axis]
        first = min(max(first + size if first < 0 else first, 0), size - 1 if step < 0 else size)
        start, steps[axis] = start + first * value.layout.steps[axis], step * value.layout.steps[axis]
    layout = packed(shape, value.layout.dtype)
    return _moved(call, ctx, value, movement.region(shape, start, steps, 0, layout.steps), layout)


def _items(arg: Any) -> Sequence[Any]:
    return arg.values if hasattr(arg, "values") else arg.fields if hasattr(arg, "fields") else [arg]


def split(call: "relax.Call", ctx: "CudaContext") -> tuple[CudaTensor, ...]:
    """Lowers R.split, a movement for each part."""
    attrs, value = ops.attrs_of(call), ctx.find(call.args[0])
    axis, parts, start = attrs["axis"] % len(value.layout.shape), [], 0
    for field in call.ty.fields:
        layout = packed((int(extent) for extent in field.shape.values), value.layout.dtype)
        region = movement.region(layout.shape, start * value.layout.steps[axis], value.layout.steps, 0, layout.steps)
        parts.append(_moved(call, ctx, value, region, layout))
        start += layout.shape[axis]
    return tuple(parts)


def pad(call: "relax.Call", ctx: "CudaContext") -> CudaTensor | None:
    """Lowers a constant padding of int8: the frame is filled, then the tensor is moved in."""
    attrs, value = ops.attrs_of(call), ctx.find(call.args[0])
    if (
        attrs["pad_mode"] != "constant"
        or value.layout.dtype != "int8"
        or any(width < 0 for width in attrs["pad_width"])
    ):
        return None
    layout = packed(shape_of(call), "int8")
    result = ctx.empty(layout)
    ctx.emit(movement.fill(layout, int(attrs["pad_value"])), [], layout, call.op.name, into=result)
    to = sum(before * step for before, step in zip(attrs["pad_width"][0::2], layout.steps, strict=True))
    region = movement.region(value.layout.shape, 0, value.layout.steps, to, layout.steps)
    return ctx.emit(movement.move(region, 1), [value], layout, call.op.name, into=result)


def interleave(call: "relax.Call", ctx: "CudaContext") -> CudaTensor | None:
    """Lowers octet.interleave of int8, and of float32 with zeros between."""
    attrs, value = ops.attrs_of(call), ctx.find(call.args[0])
    fill, layout = attrs["fill"], packed(shape_of(call), value.layout.dtype)
    if layout.dtype != "int8" and fill != 0:
        return None
    result = ctx.empty(layout)
    ctx.emit(movement.fill(layout, int(fill)), [], layout, call.op.name, into=result)
    steps = [step * factor for step, factor in zip(layout.steps, (1, 1, *attrs["strides"]), strict=True)]
    region = movement.region(value.layout.shape, 0, value.layout.steps, 0, steps)
    return ctx.emit(movement.move(region, np.dtype(layout.dtype).itemsize), [value], layout, call.op.name, into=result)


def depth_to_space(call: "relax.Call", ctx: "CudaContext") -> CudaTensor | None:
    """Lowers octet.depth_to_space: every phase of the channels is moved between the pixels of the others."""
    strides, value = ops.attrs_of(call)["strides"], ctx.find(call.args[0])
    layout = packed(shape_of(call), value.layout.dtype)
    shape, source, target = pixel_phases(shape_of(call), strides, value.layout.steps, layout.steps)
    return _moved(call, ctx, value, movement.region(shape, 0, source, 0, target), layout)


def frame(call: "relax.Call", ctx: "CudaContext") -> CudaTensor | None:
    """Lowers octet.frame of int8: one pixel of fill values is repeated, then the image is moved in."""
    attrs, value, layout = ops.attrs_of(call), ctx.find(call.args[0]), packed(shape_of(call), "int8")
    if value.layout.dtype != "int8":
        return None
    result, shape = ctx.empty(layout), value.layout.shape
    pixel = movement.region(layout.shape, 0, (0, 1, 0, 0), 0, layout.steps)
    ctx.emit(movement.move(pixel, 1), [np.array(attrs["fill"], np.int8)], layout, call.op.name, into=result)
    top, left, _, _ = attrs["padding"]
    region = movement.region(shape, 0, value.layout.steps, top * layout.steps[2] + left * layout.steps[3], layout.steps)
    return ctx.emit(movement.move(region, 1), [value], layout, call.op.name, into=result)


def resize(call: "relax.Call", ctx: "CudaContext") -> CudaTensor | None:
    """Lowers a resize to the nearest neighbour by whole factors, where every element is repeated in place."""
    attrs, value = ops.attrs_of(call), ctx.find(call.args[0])
    shape, old = shape_of(call), value.layout.shape
    if (
        attrs["method"] != "nearest_neighbor"
        or attrs["layout"] != "NCHW"
        or any(new % before for new, before in zip(shape, old, strict=True))
    ):
        return None
    for new, before in zip(shape[2:], old[2:], strict=True):
        wanted = nearest_indices(before, new, attrs["coordinate_transformation_mode"], attrs["rounding_method"])
        if (wanted != np.arange(new) // (new // before)).any():
            return None
    layout = packed(shape, value.layout.dtype)
    divisor = [new // before for new, before in zip(shape, old, strict=True)]
    return _moved(call, ctx, value, movement.region(shape, 0, value.layout.steps, 0, layout.steps, divisor), layout)


RULES = (
    {
        "relax.quantize": quantize,
        "relax.dequantize": dequantize,
        "relax.permute_dims": permute_dims,
        "relax.concat": concat,
        "relax.split": split,
    }
    | {
        "relax.strided_slice": strided_slice,
        "relax.nn.pad": pad,
        "octet.interleave": interleave,
        "octet.depth_to_space": depth_to_space,
        "octet.frame": frame,
        "relax.image.resize2d": resize,
    }
    | {f"relax.{name}": reshape for name in ("reshape", "squeeze", "expand_dims", "flatten", "nn.batch_flatten")}
)
