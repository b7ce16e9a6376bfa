"""bfloat16 layers of the referee: operands of bfloat16, sums in float32 in the order of passes/ops.py, so that every
byte is defined."""

import numpy as np

from ...targets.bfloat16 import FEW, add_blocks, round_to_bfloat16
from ...targets.seams import Attrs
from .conv import windows
from .floats import clamp
from .sums import F32
from .values import Values


def _round(args: Values, attrs: Attrs) -> np.ndarray:
    return round_to_bfloat16(args[0])


def conv2d_bf16(args: Values, attrs: Attrs) -> np.ndarray:
    """octet.conv2d on bfloat16 data: (data, weight f32, bias f32[, residual f32])."""
    data, weight, bias, *residual = args
    assert attrs["groups"] == 1, "groups have no bfloat16 form"
    view = windows(data.astype(F32), weight.shape[2:], attrs["strides"], attrs["padding"], attrs["dilation"], 0)
    n, c, oh, ow, kh, kw = view.shape
    total = np.zeros((n, oh * ow, weight.shape[0]), F32)
    if c <= FEW:  # A kernel row is one column of FEW * kw channels.
        few = ((0, 0), (0, FEW - c))
        view = np.pad(view, (*few, *4 * ((0, 0),))).transpose(0, 5, 1, 2, 3, 4).reshape(n, kw * FEW, oh, ow, kh, 1)
        weight = np.pad(weight, (*few, (0, 0), (0, 0))).transpose(0, 3, 1, 2).reshape(-1, kw * FEW, kh, 1)
    for i in range(kh):
        for j in range(view.shape[5]):
            total = add_blocks(total, view[..., i, j].reshape(n, -1, oh * ow).transpose(0, 2, 1), weight[:, :, i, j].T)
    return _finished((total + bias).transpose(0, 2, 1).reshape(n, -1, oh, ow), residual, attrs)


def dense_bf16(args: Values, attrs: Attrs) -> np.ndarray:
    """octet.dense on bfloat16 data: (data, weight f32 [K, N], bias f32[, residual f32])."""
    data, weight, bias, *residual = args
    rows = data.astype(F32).reshape(-1, data.shape[-1])
    total = add_blocks(np.zeros((rows.shape[0], weight.shape[1]), F32), rows, weight)
    return _finished((total + bias).reshape(*data.shape[:-1], -1), residual, attrs)


def _finished(value: np.ndarray, residual: list[np.ndarray], attrs: Attrs) -> np.ndarray:
    value = clamp(value + residual[0] if residual else value, attrs)
    return round_to_bfloat16(value) if attrs["out_dtype"] == "bfloat16" else value


BFLOAT16 = {"octet.bfloat16": _round}
