"""The integer operators without weights in PyTorch, by the equations of `passes/ops.py`: function(args, attrs) ->
tensor.

Every tensor has an axis of samples in front of its own axes; a constant's is of extent 1. Codes are float32
(straight_through.py).
"""

from math import log

import numpy as np
import torch
from torch.nn import functional as F

from ...passes.referee.conv import window_counts
from ...passes.referee.integer import INTEGER as REFEREE
from .straight_through import instead, rounded, rounded_codes, sum_of_products


def f32(value) -> float:
    """A number as float32 arithmetic sees it."""
    return float(np.float32(value))


def on_images(function, data, *others):
    """A function of [N, C, H, W] on [samples, N, C, H, W]; others: tensors of more samples and images, or of one."""
    together = [x.expand(data.shape[0], *x.shape[1:]).flatten(0, 1) for x in others]
    result = function(data.flatten(0, 1), *together)
    return result.unflatten(0, (data.shape[0], -1))


def _stored(value, attrs):
    return rounded_codes(value, attrs["out_zero_point"], attrs["clip_min"], attrs["clip_max"])


def of_one_rank(*tensors):
    """All with the same number of axes behind that of the samples."""
    rank = max(x.dim() for x in tensors)
    return [x.reshape(x.shape[0], *[1] * (rank - x.dim()), *x.shape[1:]) for x in tensors]


def _matmul(args, attrs):
    a, b = of_one_rank(*args)
    left, right = (attrs.get(f"{name}_zero_point", 0) for name in "ab")
    value = sum_of_products(
        torch.matmul, a - left, b - right, (128.0 + abs(left)) * (128.0 + abs(right)) * a.shape[-1]
    ).float() * f32(attrs["multiplier"])
    if attrs["out_dtype"] == "float32":
        return torch.clamp(value, attrs["clip_min"], attrs["clip_max"])
    return _stored(value, attrs)


def _add(args, attrs):
    a, b = of_one_rank(*args)
    left = (a - attrs["a_zero_point"]) * f32(attrs["a_multiplier"])
    return _stored(left + (b - attrs["b_zero_point"]) * f32(attrs["b_multiplier"]), attrs)


def _mul(args, attrs):
    a, b = of_one_rank(*args)
    return _stored((a - attrs["a_zero_point"]) * (b - attrs["b_zero_point"]) * f32(attrs["multiplier"]), attrs)


def _avg_pool2d(args, attrs):
    (data,), (top, left, bottom, right) = args, attrs["padding"]
    kernel, strides = attrs["pool_size"], attrs["strides"]

    def total(x):
        padded = F.pad(x - attrs["data_zero_point"], (left, right, top, bottom))
        return F.avg_pool2d(padded, kernel, strides, divisor_override=1)

    counts = (
        np.float32(kernel[0] * kernel[1])
        if attrs["count_include_pad"]
        else window_counts(data.shape[3:], kernel, strides, attrs["padding"])
    )
    factors = torch.as_tensor(np.float32(attrs["multiplier"]) / counts, device=data.device)
    return _stored(on_images(total, data) * factors, attrs)


def _requantize(args, attrs):
    return _stored((args[0] - attrs["data_zero_point"]) * f32(attrs["multiplier"]), attrs)


def _table(args, attrs):
    """The gradient is the table's slope, over two steps where it has two neighbours."""
    codes, table = args
    table = table[0]
    places = torch.arange(256, device=table.device)
    before, behind = (places - 1).clamp(min=0), (places + 1).clamp(max=255)
    slopes = (table[..., behind] - table[..., before]) / (behind - before)
    index = codes.detach().long() + 128
    if table.dim() == 1:
        return instead(codes * slopes[index], table[index])
    channels = torch.arange(len(table), device=table.device).reshape(-1, *[1] * (codes.dim() - 3))
    return instead(codes * slopes[channels, index], table[channels, index])


def _softmax(args, attrs):
    """The gradient is that of a softmax with the table's exponent."""
    codes, table = args
    place = int((table[0] > 0).sum()) - 1
    exponent = log(float(table[0, 0]) / float(table[0, place])) / max(place, 1)
    exact = REFEREE["octet.softmax"]([codes.detach().cpu().numpy().astype(np.int8), table[0].cpu().numpy()], attrs)
    approximation = torch.softmax(codes * exponent, -1) * attrs["levels"] + attrs["out_zero_point"]
    return instead(approximation, torch.from_numpy(exact.astype(np.float32)).to(codes.device))


def _resize2d(args, attrs):
    data, rows, columns = args[0].double() - attrs["data_zero_point"], args[1][0], args[2][0]
    for axis, places, units in ((-2, rows, attrs["row_units"]), (-1, columns, attrs["column_units"])):
        low, high, weight = (places[:, i].long() for i in range(3))
        weight = weight.double().reshape(-1, *[1] * (-1 - axis))
        data = data.index_select(axis, low) * (units - weight) + data.index_select(axis, high) * weight
    return _stored(data.float() * f32(attrs["multiplier"]), attrs)


def _quantize(args, attrs):
    data, scale, zero_point = args
    limits = torch.iinfo(getattr(torch, str(attrs["out_dtype"])))
    scale, zero_point = (_along(x, data, attrs["axis"]) for x in (scale, zero_point))
    return torch.clamp(rounded(data / scale) + zero_point, limits.min, limits.max)


def _dequantize(args, attrs):
    data, scale, zero_point = args
    scale, zero_point = (_along(x, data, attrs["axis"]) for x in (scale, zero_point))
    return (data - zero_point) * scale


def _along(values, data, axis):
    """Scales or zero points that run along an axis of the data."""
    if values.numel() == 1:
        return values.reshape(())
    shape = [1] * (data.dim() - 1)
    shape[axis] = -1
    return values.reshape(1, *shape)


INTEGER = {
    "octet.matmul": _matmul,
    "octet.add": _add,
    "octet.mul": _mul,
    "octet.avg_pool2d": _avg_pool2d,
    "octet.requantize": _requantize,
    "octet.table": _table,
    "octet.softmax": _softmax,
    "octet.resize2d": _resize2d,
    "relax.quantize": _quantize,
    "relax.dequantize": _dequantize,
}
