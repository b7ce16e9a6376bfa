"""Maximum and average pooling, and the mean over an image, on packed tensors."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ....targets.seams import Attrs
from ....targets.x86.layout import packed
from ....targets.x86.vector_loops import default_loops
from ....targets.x86.windows.average import avg_pool2d, default_schedule
from ....targets.x86.windows.maximum import max_pool2d
from ....targets.x86.windows.pooling import PoolProblem
from ... import ops
from ...ops import shape_of
from .tuned import schedule_of

if TYPE_CHECKING:
    from tvm import relax

    from .context import CpuContext
    from .value import Value


def integer_average(call: "relax.Call", ctx: "CpuContext") -> "Value":
    """Lowers octet.avg_pool2d, an average of int8 pixels."""
    attrs = ops.attrs_of(call)
    value = ctx.packed(call.args[0])
    problem = PoolProblem(
        "average",
        "int8",
        value.layout.shape,
        tuple(attrs["pool_size"]),
        tuple(attrs["strides"]),
        tuple(attrs["padding"]),
        (1, 1),
        bool(attrs["count_include_pad"]),
        attrs["data_zero_point"],
        attrs["out_zero_point"],
        attrs["multiplier"],
        attrs["clip_min"],
        attrs["clip_max"],
    )
    return _emit(problem, value, ctx, call)


def maximum(call: "relax.Call", ctx: "CpuContext") -> "Value | None":
    """Lowers R.nn.max_pool2d of int8 or float32."""
    return _window(call, ctx, "max", ("int8", "float32"))


def average(call: "relax.Call", ctx: "CpuContext") -> "Value | None":
    """Lowers R.nn.avg_pool2d of float32."""
    return _window(call, ctx, "average", ("float32",))


def _window(call: "relax.Call", ctx: "CpuContext", kind: str, dtypes: Sequence[str]) -> "Value | None":
    attrs = ops.attrs_of(call)
    dtype = str(call.ty.dtype)
    if dtype not in dtypes or attrs["layout"] != "NCHW":
        return None
    value = ctx.packed(call.args[0])
    padding = _resolved(attrs, value.layout.shape, list(shape_of(call)))
    dilation = tuple(attrs["dilation"])
    if dilation != (1, 1) and any(padding):
        return None
    if any(before >= size for before, size in zip(padding, attrs["pool_size"])):
        return None  # A window could be without any element.
    problem = PoolProblem(
        kind,
        dtype,
        value.layout.shape,
        tuple(attrs["pool_size"]),
        tuple(attrs["strides"]),
        padding,
        dilation,
        bool(attrs.get("count_include_pad", False)),
    )
    return _emit(problem, value, ctx, call)


def _emit(problem: PoolProblem, value: "Value", ctx: "CpuContext", call: "relax.Call") -> "Value":
    template, default = (max_pool2d, default_loops) if problem.kind == "max" else (avg_pool2d, default_schedule)
    schedule, notes = schedule_of(problem, ctx, default)
    return ctx.emit(template(problem, schedule), [value], problem.target, call.op.name, notes=notes)


def _resolved(attrs: Attrs, shape: tuple[int, ...], result: list[int]) -> Any:
    """Padding with what ceil mode adds at the bottom and on the right."""
    padding = list(attrs["padding"])
    for axis in (0, 1):
        reach = (
            (result[2 + axis] - 1) * attrs["strides"][axis]
            + attrs["dilation"][axis] * (attrs["pool_size"][axis] - 1)
            + 1
        )
        padding[axis + 2] += max(0, reach - shape[2 + axis] - padding[axis] - padding[axis + 2])
    return tuple(padding)


def mean(call: "relax.Call", ctx: "CpuContext") -> "Value | None":
    """Lowers R.mean over the two axes of an image, float32."""
    attrs = ops.attrs_of(call)
    shape = shape_of(call.args[0])
    if (
        len(shape) != 4
        or attrs["axis"] is None
        or sorted(axis % 4 for axis in attrs["axis"]) != [2, 3]
        or str(call.ty.dtype) != "float32"
    ):
        return None
    value = ctx.packed(call.args[0])
    pooled = _emit(PoolProblem("average", "float32", shape, shape[2:], (1, 1)), value, ctx, call)
    # Without keepdims the same buffer is read as rows.
    return type(value)(pooled.var, packed(shape_of(call), "float32"))


RULES = {
    "octet.avg_pool2d": integer_average,
    "relax.nn.max_pool2d": maximum,
    "relax.nn.avg_pool2d": average,
    "relax.mean": mean,
}
