"""The float32 operators of the referee, each a documented sequence of operations, so that a vector kernel can do the
same.

* Sums over the last axis (softmax, layer_norm, mean, sum): 16 interleaved partial sums (`sum16`). Sums over other axes,
  and over pooling windows: one element after the other in row-major order. A mean is the sum divided by the count.
* Scalar functions: `targets/float_math.py`; kinds without an entry there: `passes/unary.py`.
* Convolutions and matrix products: `ordered_product.py`. Float kernels add in other orders and are compared with a
  tolerance; what the referee says does not depend on the machine.
"""

from collections.abc import Callable

import numpy as np

from ...targets import float_math, recurrent_math
from ...targets.float_ops import NumpyOps
from ...targets.seams import Attrs
from .. import unary
from ..operators.relax_operators import KINDS
from .conv import ceil_padding, convolve, window_counts, windows
from .normalization import batch_norm, group_norm, instance_norm, layer_norm, rms_norm
from .ordered_product import ordered_product
from .sums import F32, ordered_sum, sum16
from .values import Evaluate, Values


def function(kind: str, x: np.ndarray, attrs: Attrs) -> np.ndarray:
    """An octet.unary kind at x, float32."""
    x = np.asarray(x, F32)
    if kind in float_math.FUNCTIONS:
        return np.asarray(float_math.unary(NumpyOps, kind, x, attrs), F32)
    return unary.evaluate(kind, x, attrs)


def clamp(value: np.ndarray, attrs: Attrs) -> np.ndarray:
    """min(max(value, clip_min), clip_max) in float32."""
    return np.minimum(np.maximum(value, F32(attrs["clip_min"])), F32(attrs["clip_max"]))


def conv2d_f32(args: Values, attrs: Attrs) -> np.ndarray:
    """octet.conv2d on float32: (data, weight, bias[, residual])."""
    data, weight, bias, *residual = args
    value = convolve(data, weight, *(attrs[key] for key in ("strides", "padding", "dilation", "groups")))
    value = value + bias.reshape(1, -1, 1, 1)
    return clamp(value + residual[0] if residual else value, attrs)


def dense_f32(args: Values, attrs: Attrs) -> np.ndarray:
    """octet.dense on float32: (data, weight [K, N], bias[, residual])."""
    data, weight, bias, *residual = args
    value = ordered_product(data, weight) + bias
    return clamp(value + residual[0] if residual else value, attrs)


def _sum(x: np.ndarray, attrs: Attrs) -> tuple[np.ndarray, np.float32]:
    """Sum over the axes of `attrs`, and how many elements went into each."""
    axes = attrs["axis"]
    axes = list(range(x.ndim)) if axes is None else sorted(axis % x.ndim for axis in axes)
    count = int(np.prod([x.shape[axis] for axis in axes]))
    kept = [axis for axis in range(x.ndim) if axis not in axes]
    if x.dtype.kind != "f":
        total = x.transpose(kept + axes).sum(axis=tuple(range(len(kept), x.ndim)), dtype=x.dtype)
    elif axes == [x.ndim - 1]:
        total = sum16(x)[..., 0]
    else:
        total = ordered_sum(x.transpose(kept + axes), len(axes))
    if attrs["keepdims"]:
        total = np.expand_dims(total, tuple(axes))
    return total, F32(count)


def _mean(args: Values, attrs: Attrs) -> np.ndarray:
    total, count = _sum(args[0], attrs)
    return total / count if args[0].dtype.kind == "f" else (total // int(count)).astype(args[0].dtype)


def _extreme(reduce: Callable[..., np.ndarray]) -> Evaluate:
    def run(args: Values, attrs: Attrs) -> np.ndarray:
        axes = attrs["axis"]
        return reduce(args[0], axis=None if axes is None else tuple(axes), keepdims=bool(attrs["keepdims"]))

    return run


def _arg(reduce: Callable[..., np.ndarray]) -> Evaluate:
    def run(args: Values, attrs: Attrs) -> np.ndarray:
        return np.asarray(reduce(args[0], axis=attrs["axis"], keepdims=bool(attrs["keepdims"])), np.int64)

    return run


def _avg_pool2d(args: Values, attrs: Attrs) -> np.ndarray:
    (data,), padding = args, list(attrs["padding"])
    assert attrs["layout"] == "NCHW", attrs
    if attrs["ceil_mode"]:
        padding = ceil_padding(data.shape[2:], padding, attrs)
    kernel, dilation = attrs["pool_size"], attrs["dilation"]
    total = ordered_sum(windows(data, kernel, attrs["strides"], padding, dilation, 0), 2)
    if attrs["count_include_pad"]:
        return total / F32(kernel[0] * kernel[1])
    return total / window_counts(data.shape[2:], kernel, attrs["strides"], padding, dilation)


def _softmax_parts(x: np.ndarray, axis: int) -> tuple[np.ndarray, ...]:
    moved = np.moveaxis(x, axis, -1)
    shifted = moved - moved.max(axis=-1, keepdims=True)
    powers = float_math.exp(NumpyOps, shifted)
    return shifted, powers, sum16(powers)


def _softmax(args: Values, attrs: Attrs) -> np.ndarray:
    """e = exp(x - max), e / sum16(e)."""
    _, powers, total = _softmax_parts(args[0], attrs["axis"])
    return np.moveaxis(powers / total, -1, attrs["axis"])


def _log_softmax(args: Values, attrs: Attrs) -> np.ndarray:
    shifted, _, total = _softmax_parts(args[0], attrs["axis"])
    return np.moveaxis(shifted - float_math.log(NumpyOps, total), -1, attrs["axis"])


def _prelu(args: Values, attrs: Attrs) -> np.ndarray:
    x, slope = args
    shape = [1] * x.ndim
    shape[attrs["axis"]] = -1
    return np.where(x < 0, x * slope.reshape(shape), x)


def _conv2d(args: Values, attrs: Attrs) -> np.ndarray:
    assert (attrs["data_layout"], attrs["kernel_layout"]) == ("NCHW", "OIHW"), attrs
    return convolve(*args, *(attrs[key] for key in ("strides", "padding", "dilation", "groups")))


_OF_INTEGERS = {"abs": np.abs, "sign": np.sign} | dict.fromkeys(("floor", "ceil", "round"), lambda x: x)


def _unary(kind: str) -> Evaluate:
    return lambda args, attrs: (
        function(kind, args[0], attrs) if args[0].dtype.kind == "f" else _OF_INTEGERS[kind](args[0])
    )


def _clip(args: Values, attrs: Attrs) -> np.ndarray:
    """min(max(x, low), high) in the dtype of x; a bound that an integer type cannot hold does not bind."""
    x, low, high = args
    if x.dtype.kind != "f":
        limits = np.iinfo(x.dtype)
        low, high = (min(max(bound, limits.min), limits.max) for bound in (low, high))
    return np.minimum(np.maximum(x, x.dtype.type(low)), x.dtype.type(high))


def _binary(
    operation: Callable[..., np.ndarray],
) -> Evaluate:
    return lambda args, attrs: operation(args[0], args[1])


_BINARY: dict[str, Callable[..., np.ndarray]] = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "power": np.power,
    "equal": np.equal,
    "not_equal": np.not_equal,
    "less": np.less,
    "less_equal": np.less_equal,
    "greater": np.greater,
    "greater_equal": np.greater_equal,
    "logical_and": np.logical_and,
    "logical_or": np.logical_or,
    "matmul": lambda a, b: ordered_product(a, b) if a.dtype.kind == "f" else np.matmul(a, b),
}


def _recurrent(name: str) -> Evaluate:
    """A step of an LSTM or GRU; the gates of a row lie behind each other."""
    step, gates = recurrent_math.STEPS[name]
    return lambda args, attrs: step(NumpyOps, np.split(args[0], gates, -1), np.split(args[1], gates, -1), args[2])


FLOAT = (
    {name: _unary(kind) for name, kind in KINDS.items()}
    | {f"relax.{name}": _binary(operation) for name, operation in _BINARY.items()}
    | {name: _recurrent(name) for name in recurrent_math.STEPS}
    | {
        "octet.unary": lambda args, attrs: function(attrs["kind"], args[0], attrs),
        "relax.negative": lambda args, attrs: -args[0],
        "relax.square": lambda args, attrs: args[0] * args[0],
        "relax.clip": _clip,
        "relax.where": lambda args, attrs: np.where(*args),
        "relax.astype": lambda args, attrs: args[0].astype(str(attrs["dtype"])),
        "octet.bits": lambda args, attrs: args[0].view("int32" if args[0].dtype == np.float32 else "float32"),
        "relax.isnan": lambda args, attrs: np.isnan(args[0]),
        "relax.logical_not": lambda args, attrs: np.logical_not(args[0]),
        "relax.nn.relu": lambda args, attrs: np.maximum(args[0], args[0].dtype.type(0)),
        "relax.nn.relu6": lambda args, attrs: np.minimum(np.maximum(args[0], F32(0)), F32(6)),
        "relax.nn.leakyrelu": lambda args, attrs: function("leaky_relu", args[0], attrs),
        "relax.nn.selu": lambda args, attrs: function(
            "selu", args[0], {"alpha": 1.6732632423543772, "gamma": 1.0507009873554805}
        ),
        "relax.nn.prelu": _prelu,
        "relax.nn.conv2d": _conv2d,
        "relax.nn.avg_pool2d": _avg_pool2d,
        "relax.nn.softmax": _softmax,
        "relax.nn.log_softmax": _log_softmax,
        "relax.nn.layer_norm": layer_norm,
        "relax.nn.batch_norm": batch_norm,
        "relax.nn.group_norm": group_norm,
        "relax.nn.instance_norm": instance_norm,
        "relax.nn.rms_norm": rms_norm,
        "relax.mean": _mean,
        "relax.sum": lambda args, attrs: _sum(args[0], attrs)[0],
        "relax.max": _extreme(np.max),
        "relax.min": _extreme(np.min),
        "relax.argmax": _arg(np.argmax),
        "relax.argmin": _arg(np.argmin),
    }
)
