"""Runs one convolution kernel on packed buffers and compares it with plain NumPy."""

import sys
from pathlib import Path

import numpy as np
import tvm

from octet.targets.x86.conv.problem import ConvProblem, Epilogue
from octet.targets.x86.layout import SLACK, channel_stride

sys.path.insert(0, str(Path(__file__).parent))
from here import module_here

GUARD = 99  # The output buffer holds it before: nothing may be written behind the last pixel.


def problem(
    c,
    size,
    o,
    kernel=1,
    stride=1,
    padding=None,
    groups=1,
    batch=1,
    dtype="int8",
    dilation=1,
    residual=False,
    out_dtype=None,
    clip=None,
    zero_point=3,
    planar=False,
):
    kernel = (kernel, kernel) if isinstance(kernel, int) else kernel
    height, width = (size, size) if isinstance(size, int) else size
    padding = (kernel[0] // 2, kernel[1] // 2) * 2 if padding is None else padding
    out_dtype = out_dtype or dtype
    clip = clip or ((-128, 127) if out_dtype == "int8" else (-np.inf, np.inf))
    return ConvProblem(
        dtype,
        batch,
        c,
        height,
        width,
        o,
        kernel,
        (stride, stride),
        padding,
        (dilation, dilation),
        groups,
        zero_point if dtype == "int8" else 0,
        Epilogue(
            out_dtype,
            -7 if out_dtype == "int8" else 0,
            *clip,
            residual,
            5 if dtype == "int8" else 0,
            0.013 if dtype == "int8" else 0.0,
        ),
        planar,
    )


def arguments(p: ConvProblem, seed=0):
    """(data, weight, bias, multiplier, residual) as logical arrays."""
    rng = np.random.default_rng(seed)
    shapes = [
        (p.batch, p.channels, p.height, p.width),
        (p.out_channels, p.channels // p.groups, *p.kernel),
        (p.batch, p.out_channels, p.out_height, p.out_width),
    ]
    if p.dtype == "float32":
        data, weight, residual = (rng.standard_normal(s, dtype=np.float32) for s in shapes)
        return data, weight, rng.standard_normal(p.out_channels, dtype=np.float32), None, residual
    data, weight, residual = (rng.integers(low, 128, s).astype(np.int8) for low, s in zip((-128, -127, -128), shapes))
    multiplier = (rng.random(p.out_channels) * 0.02 / np.sqrt(weight[0].size)).astype(np.float32)
    return data, weight, rng.integers(-5000, 5000, p.out_channels).astype(np.int32), multiplier, residual


def pack(array, junk):
    """Logical NCHW -> the flat nhwc buffer; padding channels and slack hold junk."""
    n, c, h, w = array.shape
    int8 = array.dtype == np.int8
    flat = np.full((n, h, w, channel_stride(c, str(array.dtype))), junk, np.uint8 if int8 else np.float32)
    flat[..., :c] = (array.astype(np.int16) + 128 if int8 else array).transpose(0, 2, 3, 1)
    return np.concatenate([flat.reshape(-1), np.full(SLACK, junk, flat.dtype)])


def expected(p: ConvProblem, data, weight, bias, multiplier, residual):
    """The equations of octet.conv2d, tap by tap in int64 (float64 for float32 problems)."""
    wide = np.int64 if p.dtype == "int8" else np.float64
    top, left, bottom, right = p.padding
    x = np.pad(data.astype(wide) - p.data_zero_point, ((0, 0), (0, 0), (top, bottom), (left, right)))
    acc = np.zeros((p.batch, p.out_channels, p.out_height, p.out_width), wide)
    ins, outs = p.channels // p.groups, p.out_channels // p.groups
    for i in range(p.kernel[0]):
        for j in range(p.kernel[1]):
            y0, x0 = i * p.dilation[0], j * p.dilation[1]
            tap = x[
                :,
                :,
                y0 : y0 + (p.out_height - 1) * p.strides[0] + 1 : p.strides[0],
                x0 : x0 + (p.out_width - 1) * p.strides[1] + 1 : p.strides[1],
            ]
            for g in range(p.groups):
                acc[:, g * outs : (g + 1) * outs] += np.einsum(
                    "nchw,oc->nohw",
                    tap[:, g * ins : (g + 1) * ins],
                    weight[g * outs : (g + 1) * outs, :, i, j].astype(wide),
                )
    acc += bias[None, :, None, None]
    e = p.epilogue
    if p.dtype == "float32":
        return np.clip(acc + (residual if e.residual else 0), e.clip_min, e.clip_max)
    scaled = acc.astype(np.float32) * multiplier[None, :, None, None]
    if e.out_dtype == "float32":
        return np.clip(scaled, np.float32(e.clip_min), np.float32(e.clip_max))
    if e.residual:
        scaled = scaled + (residual.astype(np.int32) - e.residual_zero_point).astype(np.float32) * np.float32(
            e.residual_multiplier
        )
    return np.clip(np.rint(scaled).astype(np.int64) + e.out_zero_point, e.clip_min, e.clip_max).astype(np.int8)


def run(p: ConvProblem, kernel, data, residual, spec):
    """The kernel's output as a logical array; asserts that nothing behind the last pixel was written."""
    junk = 77 if p.dtype == "int8" else np.nan
    library = module_here(kernel.func, spec)
    pixels = p.batch * p.out_height * p.out_width
    out = np.full(pixels * p.out_stride + SLACK, GUARD, np.uint8 if p.epilogue.out_dtype == "int8" else np.float32)
    arrays = [
        data.reshape(-1) if p.planar else pack(data, junk),
        *kernel.constants,
        *([pack(residual, junk)] if p.epilogue.residual else []),
        out,
    ]
    stage = [np.full(kernel.workspace, junk, arrays[0].dtype)] if kernel.workspace else []
    tensors = [tvm.runtime.tensor(array) for array in arrays + stage]
    library[str(kernel.func.attrs["global_symbol"])](*tensors)
    got = tensors[len(arrays) - 1].numpy()
    assert (got[pixels * p.out_stride :] == GUARD).all(), "the kernel wrote behind its output"
    logical = (
        got[: pixels * p.out_stride]
        .reshape(p.batch, p.out_height, p.out_width, p.out_stride)[..., : p.out_channels]
        .transpose(0, 3, 1, 2)
    )
    return (logical.astype(np.int16) - 128).astype(np.int8) if p.epilogue.out_dtype == "int8" else logical
