"""Operands for measuring a kernel, and what NumPy says it must answer."""

from dataclasses import dataclass

import numpy as np

from ..passes.realize.reference_float import FLOAT
from ..passes.realize.reference_integer import INTEGER
from ..targets.x86.layout import Layout, channel_stride
from ..targets.x86.workload import Workload


@dataclass(frozen=True)
class Case:
    """weight [O, C / groups, kh, kw], bias [O], multiplier [O] (None in float32): logical. data, residual (or None): flat packed buffers, slack included.
    expected: logical [N, O, OH, OW]. layout: of the output."""

    weight: np.ndarray
    bias: np.ndarray
    multiplier: np.ndarray | None
    data: np.ndarray
    residual: np.ndarray | None
    expected: np.ndarray
    layout: Layout

    def agrees(self, flat: np.ndarray) -> bool:
        """Whether an output buffer holds what the referee says: byte for byte; sums of float32 products to the rounding of their order."""
        found = unpack(flat, self.layout)
        if self.multiplier is not None:
            return found.tobytes() == self.expected.tobytes()
        size = np.sqrt(self.weight[0].size)  # rounding errors of a sum grow like the root of its length
        return bool(np.allclose(found, self.expected, rtol=0, atol=1e-5 * size * max(1.0, float(np.abs(self.expected).max()))))


def case_of(workload: Workload, seed: int = 0) -> Case:
    """Random operands over the whole int8 range (normal in float32) and the referee's answer."""
    p, rng = workload.problem, np.random.default_rng(seed)
    shapes = [(p.batch, p.channels, p.height, p.width), (p.out_channels, p.channels // p.groups, *p.kernel), (p.batch, p.out_channels, p.out_height, p.out_width)]
    if p.dtype == "float32":
        data, weight, residual = (rng.standard_normal(shape, dtype=np.float32) for shape in shapes)
        bias, multiplier = rng.standard_normal(p.out_channels, dtype=np.float32), None
    else:
        data, weight, residual = (rng.integers(low, 128, shape).astype(np.int8) for low, shape in zip((-128, -127, -128), shapes))
        bias = rng.integers(-5000, 5000, p.out_channels).astype(np.int32)
        multiplier = (rng.random(p.out_channels) * 0.02 / np.sqrt(weight[0].size)).astype(np.float32)
    e = p.epilogue
    attrs = {"strides": p.strides, "padding": p.padding, "dilation": p.dilation, "groups": p.groups, "data_zero_point": p.data_zero_point,
             "out_zero_point": e.out_zero_point, "clip_min": e.clip_min, "clip_max": e.clip_max, "residual_zero_point": e.residual_zero_point,
             "residual_multiplier": e.residual_multiplier, "out_dtype": e.out_dtype}
    operands = [data, weight, bias] + ([multiplier] if multiplier is not None else []) + ([residual] if e.residual else [])
    operator = (FLOAT if multiplier is None and "octet.conv2d" in FLOAT else INTEGER)["octet.conv2d"]
    layout = Layout("nhwc", shapes[2], e.out_dtype)
    flat = data.reshape(-1) if p.planar else pack(data)
    return Case(weight, bias, multiplier, flat, pack(residual) if e.residual else None, np.asarray(operator(operands, attrs)), layout)


def pack(array: np.ndarray) -> np.ndarray:
    """Logical NCHW -> the flat nhwc buffer; padding channels hold 77, which must not matter."""
    layout = Layout("nhwc", array.shape, str(array.dtype))
    flat = np.full(layout.elements, 77, layout.storage)
    pixels = flat[: layout.pixels * layout.channel_stride].reshape(-1, layout.channel_stride)
    logical = array.transpose(0, 2, 3, 1).reshape(layout.pixels, layout.channels)
    pixels[:, : layout.channels] = logical.astype(np.int16) + 128 if array.dtype == np.int8 else logical
    return flat


def unpack(flat: np.ndarray, layout: Layout) -> np.ndarray:
    """The flat nhwc buffer -> logical NCHW, contiguous."""
    n, c, h, w = layout.shape
    stride = channel_stride(c, layout.dtype)
    logical = flat[: layout.pixels * stride].reshape(n, h, w, stride)[..., :c].transpose(0, 3, 1, 2)
    return np.ascontiguousarray((logical.astype(np.int16) - 128).astype(np.int8) if layout.dtype == "int8" else logical)
