"""The integer operators of the referee: the equations of `passes/ops.py`, written down.

Each entry is function(args, attrs) -> array, args as in the call. Sums are exact (float64 products of small integers,
or int64); the epilogue is float32 with every product and sum rounded on its own, np.rint rounds to nearest even.
"""

from typing import Any

import numpy as np

from ...targets.seams import Attrs
from ...targets.softmax_table import softmax_shift
from ..ops import QMAX, QMIN
from ..rewriting.dataflow_graph import dequantize
from .bfloat16 import conv2d_bf16, dense_bf16
from .conv import convolve, window_counts, windows
from .floats import clamp, conv2d_f32, dense_f32
from .resize import interpolate
from .values import Values

F32 = np.float32


def rounded_codes(value: np.ndarray, zero_point: int, clip_min: int, clip_max: int) -> np.ndarray:
    """clip(rne(value) + zero_point) as int8; `value` is float32 below 2^31 (overflow.py proves it)."""
    codes = np.rint(value).astype(np.int64) + zero_point
    return np.clip(codes, clip_min, clip_max).astype(np.int8)


def _finish(
    acc: np.ndarray,
    channel_shape: tuple[int, ...],
    bias: np.ndarray,
    multiplier: np.ndarray,
    residual: np.ndarray | None,
    attrs: Attrs,
) -> np.ndarray:
    """The epilogue of a convolution or linear layer; acc: exact integers as float64."""
    total = acc + bias.reshape(channel_shape).astype(np.float64)
    assert np.abs(total).max(initial=0.0) < 2.0**31, "an int32 accumulator overflows"
    value = total.astype(F32) * multiplier.reshape(channel_shape)
    if attrs["out_dtype"] == "float32":
        return clamp(value, attrs)
    if residual is not None:
        value = value + _difference(residual, attrs["residual_zero_point"]) * F32(attrs["residual_multiplier"])
    return rounded_codes(value, attrs["out_zero_point"], attrs["clip_min"], attrs["clip_max"])


def _difference(codes: np.ndarray, zero_point: int) -> np.ndarray:
    """q - z as float32, exact."""
    return (codes.astype(np.int32) - zero_point).astype(F32)


def _conv2d(args: Values, attrs: Attrs) -> np.ndarray:
    if args[0].dtype != np.int8:
        return (conv2d_f32 if args[0].dtype == F32 else conv2d_bf16)(args, attrs)
    data, weight, bias, multiplier, *residual = args
    centred = data.astype(np.float64) - attrs["data_zero_point"]
    geometry = [attrs[key] for key in ("strides", "padding", "dilation", "groups")]
    acc = convolve(centred, weight.astype(np.float64), *geometry)
    return _finish(acc, (1, -1, 1, 1), bias, multiplier, residual[0] if residual else None, attrs)


def _dense(args: Values, attrs: Attrs) -> np.ndarray:
    if args[0].dtype != np.int8:
        return (dense_f32 if args[0].dtype == F32 else dense_bf16)(args, attrs)
    data, weight, bias, multiplier, *residual = args
    acc = np.matmul(data.astype(np.float64) - attrs["data_zero_point"], weight.astype(np.float64).T)
    return _finish(acc, (-1,), bias, multiplier, residual[0] if residual else None, attrs)


def _matmul(args: Values, attrs: Attrs) -> np.ndarray:
    a, b = (x.astype(np.float64) - attrs.get(f"{name}_zero_point", 0) for name, x in zip("ab", args))
    acc = np.matmul(a, b)
    value = acc.astype(F32) * F32(attrs["multiplier"])
    if attrs["out_dtype"] == "float32":
        return clamp(value, attrs)
    return rounded_codes(value, attrs["out_zero_point"], attrs["clip_min"], attrs["clip_max"])


def _add(args: Values, attrs: Attrs) -> np.ndarray:
    a = _difference(args[0], attrs["a_zero_point"]) * F32(attrs["a_multiplier"])
    b = _difference(args[1], attrs["b_zero_point"]) * F32(attrs["b_multiplier"])
    return rounded_codes(a + b, attrs["out_zero_point"], attrs["clip_min"], attrs["clip_max"])


def _mul(args: Values, attrs: Attrs) -> np.ndarray:
    product = (args[0].astype(np.int32) - attrs["a_zero_point"]) * (args[1].astype(np.int32) - attrs["b_zero_point"])
    return rounded_codes(
        product.astype(F32) * F32(attrs["multiplier"]), attrs["out_zero_point"], attrs["clip_min"], attrs["clip_max"]
    )


def _avg_pool2d(args: Values, attrs: Attrs) -> np.ndarray:
    (data,) = args
    kernel, strides, padding = attrs["pool_size"], attrs["strides"], attrs["padding"]
    total = windows(data.astype(np.int64) - attrs["data_zero_point"], kernel, strides, padding, (1, 1), 0).sum(
        axis=(4, 5)
    )
    count: Any
    if attrs["count_include_pad"]:
        count = F32(kernel[0] * kernel[1])
    else:
        count = window_counts(data.shape[2:], kernel, strides, padding)
    value = total.astype(F32) * (F32(attrs["multiplier"]) / count)
    return rounded_codes(value, attrs["out_zero_point"], attrs["clip_min"], attrs["clip_max"])


def _table(args: Values, attrs: Attrs) -> np.ndarray:
    codes, table = args
    index = codes.astype(np.int64) + 128
    if table.ndim == 1:
        return table[index]
    channel = np.arange(table.shape[0]).reshape(1, -1, *[1] * (codes.ndim - 2))
    return table[channel, index]


def _softmax(args: Values, attrs: Attrs) -> np.ndarray:
    codes, table = args
    wide = codes.astype(np.int64)
    powers = table[wide.max(axis=-1, keepdims=True) - wide].astype(np.int64)
    total, shift = powers.sum(axis=-1, keepdims=True), softmax_shift(attrs["levels"])
    assert total.max(initial=0) < 2**31, "an int32 sum overflows"
    scaled = powers * ((attrs["levels"] << shift) // total) + (1 << (shift - 1))
    assert scaled.max(initial=0) < 2**31, "an int32 product overflows"
    return ((scaled >> shift) + attrs["out_zero_point"]).astype(np.int8)


def _requantize(args: Values, attrs: Attrs) -> np.ndarray:
    value = _difference(args[0], attrs["data_zero_point"]) * F32(attrs["multiplier"])
    return rounded_codes(value, attrs["out_zero_point"], attrs["clip_min"], attrs["clip_max"])


def _embedding(args: Values, _: Attrs) -> np.ndarray:
    table, scales, indices = args
    rows = np.clip(indices, 0, len(table) - 1)
    return table[rows].astype(F32) * scales[rows][..., None]


def _resize2d(args: Values, attrs: Attrs) -> np.ndarray:
    codes, rows, columns = args
    total = interpolate(
        codes.astype(np.int32) - attrs["data_zero_point"], rows, columns, attrs["row_units"], attrs["column_units"]
    )
    return rounded_codes(
        total.astype(F32) * F32(attrs["multiplier"]), attrs["out_zero_point"], attrs["clip_min"], attrs["clip_max"]
    )


def _quantize(args: Values, attrs: Attrs) -> np.ndarray:
    data, scale, zero_point = (_along(arg, args[0].ndim, attrs["axis"], position) for position, arg in enumerate(args))
    low, high = (
        (QMIN, QMAX)
        if attrs["out_dtype"] == "int8"
        else (np.iinfo(attrs["out_dtype"]).min, np.iinfo(attrs["out_dtype"]).max)
    )
    return np.clip(np.rint(data / scale) + zero_point.astype(F32), low, high).astype(attrs["out_dtype"])


def _along(value: np.ndarray, rank: int, axis: int, position: int) -> np.ndarray:
    """Scales and zero points that run along an axis, in the rank of the data (operand 0)."""
    if position == 0 or value.size == 1:
        return value if position == 0 else value.reshape(())
    shape = [1] * rank
    shape[axis] = -1
    return value.reshape(shape)


INTEGER = {
    "octet.conv2d": _conv2d,
    "octet.dense": _dense,
    "octet.matmul": _matmul,
    "octet.add": _add,
    "octet.mul": _mul,
    "octet.avg_pool2d": _avg_pool2d,
    "octet.resize2d": _resize2d,
    "octet.table": _table,
    "octet.embedding": _embedding,
    "octet.softmax": _softmax,
    "octet.requantize": _requantize,
    "relax.quantize": _quantize,
    "relax.dequantize": lambda args, attrs: dequantize(args[0], args[1], args[2], attrs["axis"]),
}
