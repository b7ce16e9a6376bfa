"""float32 and index operators, on plain tensors."""

from collections.abc import Callable
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from ....targets.cuda.kernels import float_layers, floats, functions
from ....targets.cuda.kernels.window import ROW
from ....targets.cuda.layout import plain
from ....targets.recurrent_math import STEPS
from ....targets.seams import Attrs
from ... import ops
from ...ops import shape_of
from ...referee.resize import linear_taps
from ..scalar_functions import rules_of
from .context import Rule

if TYPE_CHECKING:
    from tvm import relax

    from ....targets.cuda.kernel import CudaKernel
    from .context import CudaContext, CudaTensor


def _dtype(expr: "relax.Expr") -> str:
    return str(expr.ty.dtype)


def _emit(
    call: "relax.Call",
    ctx: "CudaContext",
    kernel: "CudaKernel",
    operands: "list[CudaTensor | np.ndarray]",
    macs: int = 0,
) -> "CudaTensor":
    return ctx.emit(kernel, operands, plain(shape_of(call), _dtype(call)), call.op.name, macs)


def _binary(name: str) -> "Callable[[relax.Call, CudaContext], CudaTensor | None]":
    def rule(call: "relax.Call", ctx: "CudaContext") -> "CudaTensor | None":
        dtype, out = _dtype(call.args[0]), _dtype(call)
        if (
            dtype != _dtype(call.args[1])
            or dtype not in floats.TYPES
            or out not in floats.TYPES
            or len(shape_of(call)) > floats.AXES
        ):
            return None
        if name == "divide" and dtype != "float32":
            return None
        kernel = floats.binary(name, dtype, out, shape_of(call), *map(shape_of, call.args))
        return _emit(call, ctx, kernel, [ctx.plain(arg) for arg in call.args])

    return rule


def where(call: "relax.Call", ctx: "CudaContext") -> "CudaTensor | None":
    """Lowers R.where, whose operands are broadcast."""
    if _dtype(call) not in floats.TYPES or len(shape_of(call)) > floats.AXES:
        return None
    return _emit(
        call,
        ctx,
        floats.where(_dtype(call), shape_of(call), *map(shape_of, call.args)),
        [ctx.plain(arg) for arg in call.args],
    )


def astype(call: "relax.Call", ctx: "CudaContext") -> "CudaTensor | None":
    """Lowers R.astype between types that kernels know."""
    if _dtype(call.args[0]) not in floats.TYPES or _dtype(call) not in floats.TYPES:
        return None
    return _emit(
        call, ctx, floats.astype(prod(shape_of(call)), _dtype(call.args[0]), _dtype(call)), [ctx.plain(call.args[0])]
    )


def _unary(call: "relax.Call", ctx: "CudaContext", kind: str, attrs: Attrs) -> "CudaTensor | None":
    if _dtype(call) != "float32" or not functions.has_device_code(kind):
        return None
    return _emit(call, ctx, floats.unary(prod(shape_of(call)), kind, attrs), [ctx.plain(call.args[0])])


def take(call: "relax.Call", ctx: "CudaContext") -> "CudaTensor | None":
    """Lowers R.take along one axis."""
    axis, shape, indices = ops.attrs_of(call)["axis"], shape_of(call.args[0]), call.args[1]
    if axis is None or _dtype(call) not in floats.TYPES or _dtype(indices) not in ("int64", "int32"):
        return None
    axis %= len(shape)
    kernel = floats.take(
        prod(shape[:axis]), shape[axis], prod(shape[axis + 1 :]), prod(shape_of(indices)), _dtype(call), _dtype(indices)
    )
    index = ctx.plain(indices)
    layout = plain(shape_of(call), _dtype(call))
    return ctx.emit(
        kernel,
        [ctx.plain(call.args[0]), index],
        layout,
        call.op.name,
        notes={"bytes": 2 * layout.bytes + index.layout.bytes},
    )  # A table is read in part.


def scatter_add(call: "relax.Call", ctx: "CudaContext") -> "CudaTensor":
    """Lowers octet.scatter_add."""
    rows, width = shape_of(call)
    kernel = floats.scatter_add(rows, width, shape_of(call.args[2])[0], _dtype(call.args[2]))
    return _emit(call, ctx, kernel, [ctx.plain(arg) for arg in call.args])


def _softmax(log: bool) -> Rule:
    def rule(call: "relax.Call", ctx: "CudaContext") -> "CudaTensor | None":
        shape = shape_of(call)
        if _dtype(call) != "float32":
            return None
        axis = ops.attrs_of(call)["axis"] % len(shape)
        kernel = floats.softmax(prod(shape) // shape[axis], shape[axis], prod(shape[axis + 1 :]), log)
        return _emit(call, ctx, kernel, [ctx.plain(call.args[0])])

    return rule


def layer_norm(call: "relax.Call", ctx: "CudaContext") -> "CudaTensor | None":
    """Lowers R.nn.layer_norm over trailing axes, float32."""
    attrs, shape = ops.attrs_of(call), shape_of(call)
    axes = sorted(axis % len(shape) for axis in attrs["axes"])
    if axes != list(range(len(shape) - len(axes), len(shape))) or _dtype(call) != "float32":
        return None
    count = prod(shape[axes[0] :])
    affine = [ctx.plain(arg) for arg in call.args[1:3]]
    kernel = floats.layer_norm(
        prod(shape) // count, count, attrs["epsilon"], bool(attrs["scale"]), bool(attrs["center"])
    )
    return _emit(call, ctx, kernel, [ctx.plain(call.args[0]), *affine])


def recurrent(call: "relax.Call", ctx: "CudaContext") -> "CudaTensor":
    """Lowers octet.lstm_state, octet.lstm_output, octet.gru_output."""
    return _emit(call, ctx, floats.recurrent(call.op.name, *shape_of(call)), [ctx.plain(arg) for arg in call.args])


def resize(call: "relax.Call", ctx: "CudaContext") -> "CudaTensor | None":
    """Lowers a linear resize; nearest neighbours are a movement."""
    attrs, shape, size = ops.attrs_of(call), shape_of(call.args[0]), shape_of(call)
    if (
        attrs["method"] != "linear"
        or attrs["layout"] != "NCHW"
        or _dtype(call) != "float32"
        or any(float(v) != 0.0 for v in attrs.get("roi", []))
    ):
        return None
    taps = [
        linear_taps(*extents, attrs["coordinate_transformation_mode"])
        for extents in zip(shape[2:], size[2:], strict=True)
    ]
    tables = [
        table.astype(dtype) for three in taps for table, dtype in zip(three, ("int32", "int32", "float32"), strict=True)
    ]
    return _emit(
        call, ctx, floats.resize_linear(shape[0] * shape[1], shape[2:], size[2:]), [ctx.plain(call.args[0]), *tables]
    )


def conv2d(call: "relax.Call", ctx: "CudaContext") -> "CudaTensor | None":
    """Lowers octet.conv2d and octet.dense in float32."""
    if _dtype(call.args[0]) != "float32":
        return None
    attrs, weight, shape = ops.attrs_of(call), ctx.constant(call.args[1]), shape_of(call.args[0])
    if weight.ndim == 2:
        weight = weight.T
        window, channels, groups = (prod(shape[:-1]), *ROW), shape[-1], 1
    else:
        window = (
            shape[0],
            *shape[2:],
            *shape_of(call)[2:],
            *weight.shape[2:],
            *attrs["strides"],
            *attrs["padding"][:2],
            *attrs["dilation"],
        )
        channels, groups = shape[1], attrs["groups"]
    residual = call.args[3] if len(call.args) > 3 else None
    problem = float_layers.FloatConv(
        *window,
        channels,
        weight.shape[0],
        groups,
        float(attrs["clip_min"]),
        float(attrs["clip_max"]),
        residual is not None,
    )
    data = ctx.plain(call.args[0])
    bias = np.asarray(ctx.constant(call.args[2]), np.float32)
    kernel, weights = float_layers.conv(problem, np.ascontiguousarray(weight, np.float32), ctx.spec)
    return _emit(
        call, ctx, kernel, [data, weights, bias, data if residual is None else ctx.plain(residual)], problem.macs
    )


def matmul(call: "relax.Call", ctx: "CudaContext") -> "CudaTensor | None":
    """Lowers relax.matmul in float32; a batch runs with its operand or shares one matrix."""
    a, b = (shape_of(arg) for arg in call.args)
    if _dtype(call) != "float32" or len(a) < 2 or len(b) < 2:
        return None
    batches, result = [prod(shape[:-2]) for shape in (a, b)], prod(shape_of(call)[:-2])
    if any(batch not in (1, result) for batch in batches) or result > 65535:
        return None
    kernel = float_layers.matmul(result, a[-2], b[-1], a[-1], batches[0] < result, batches[1] < result, ctx.spec)
    return _emit(call, ctx, kernel, [ctx.plain(arg) for arg in call.args], result * a[-2] * a[-1] * b[-1])


def _pool(average: bool) -> Rule:
    def rule(call: "relax.Call", ctx: "CudaContext") -> "CudaTensor | None":
        attrs, shape, out = ops.attrs_of(call), shape_of(call.args[0]), shape_of(call)
        if _dtype(call) != "float32" or attrs["layout"] != "NCHW":
            return None
        problem = floats.FloatPool(
            *(
                shape[0] * shape[1],
                *shape[2:],
                *out[2:],
                *attrs["pool_size"],
                *attrs["strides"],
                *attrs["padding"][:2],
                *attrs["dilation"],
                average,
                bool(attrs.get("count_include_pad", False)),
            ),
        )
        return _emit(call, ctx, floats.pool(problem), [ctx.plain(call.args[0])])

    return rule


RULES = (
    {f"relax.{name}": _binary(name) for name in floats.OPERATIONS}
    | {
        "relax.where": where,
        "relax.astype": astype,
        "relax.take": take,
        "octet.scatter_add": scatter_add,
        "relax.nn.layer_norm": layer_norm,
    }
    | {"relax.nn.softmax": _softmax(False), "relax.nn.log_softmax": _softmax(True)}
    | {"octet.conv2d": conv2d, "octet.dense": conv2d, "relax.matmul": matmul}
    | {"relax.nn.max_pool2d": _pool(False), "relax.nn.avg_pool2d": _pool(True)}
    | {"relax.image.resize2d": resize}
    | dict.fromkeys(STEPS, recurrent)
    | rules_of(_unary)
)
