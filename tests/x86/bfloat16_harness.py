"""Runs bfloat16 kernels on packed buffers: rounding, then a convolution or linear layer; and says what the referee
answers."""

import sys
from pathlib import Path

import numpy as np
import tvm

from octet.passes.referee.bfloat16 import conv2d_bf16
from octet.targets.bfloat16 import round_to_bfloat16
from octet.targets.x86.conv.choose import conv_kernel
from octet.targets.x86.conv.problem import ConvProblem, Epilogue
from octet.targets.x86.elementwise.bfloat16 import RoundProblem, round_kernel
from octet.targets.x86.isa import building_for
from octet.targets.x86.layout import SLACK, Layout, channel_stride

sys.path.insert(0, str(Path(__file__).parent))
from here import module_here

TILES = frozenset({"amx_bf16"})  # The kernels may use it beside the target's features.
GUARD = 99.0  # An output holds it before: nothing may be written behind its last pixel.


def problem(
    c,
    size,
    o,
    kernel=1,
    stride=1,
    padding=None,
    batch=1,
    dilation=1,
    residual=False,
    clip=(-np.inf, np.inf),
    out_dtype="float32",
):
    kernel = (kernel, kernel) if isinstance(kernel, int) else kernel
    height, width = (size, size) if isinstance(size, int) else size
    padding = (kernel[0] // 2, kernel[1] // 2) * 2 if padding is None else padding
    return ConvProblem(
        "bfloat16",
        batch,
        c,
        height,
        width,
        o,
        kernel,
        (stride, stride),
        padding,
        (dilation, dilation),
        1,
        0,
        Epilogue(out_dtype, 0, *clip, residual),
    )


def arguments(p: ConvProblem, seed=0, spread=8):
    """(data, weight, bias, residual), float32, the first two with exponents far apart: orders of summation differ in
    their bytes."""
    rng = np.random.default_rng(seed)
    shapes = [
        (p.batch, p.channels, p.height, p.width),
        (p.out_channels, p.channels, *p.kernel),
        (p.out_channels,),
        (p.batch, p.out_channels, p.out_height, p.out_width),
    ]
    data, weight, bias, residual = (
        rng.standard_normal(s, dtype=np.float32) * np.exp2(rng.integers(-spread, spread, s)).astype(np.float32)
        for s in shapes
    )
    return data, weight, bias, residual


def expected(p: ConvProblem, data, weight, bias, residual):
    e = p.epilogue
    attrs = {
        "strides": p.strides,
        "padding": p.padding,
        "dilation": p.dilation,
        "groups": 1,
        "clip_min": e.clip_min,
        "clip_max": e.clip_max,
        "out_dtype": e.out_dtype,
    }
    return conv2d_bf16(
        [
            round_to_bfloat16(data),
            round_to_bfloat16(weight).astype(np.float32),
            bias,
            *([residual] if e.residual else []),
        ],
        attrs,
    )


def pack(array):
    """Logical NCHW float32 -> the flat nhwc buffer; padding channels and slack hold NaN."""
    n, c, h, w = array.shape
    flat = np.full((n, h, w, channel_stride(c, "float32")), np.nan, np.float32)
    flat[..., :c] = array.transpose(0, 2, 3, 1)
    return np.concatenate([flat.reshape(-1), np.full(SLACK, np.nan, np.float32)])


def call(func, spec, arrays, result):
    """Runs a kernel; returns the array number `result`."""
    library = module_here(func, spec, TILES if spec.dot == "amx" else frozenset())
    tensors = [tvm.runtime.tensor(array) for array in arrays]
    library[str(func.attrs["global_symbol"])](*tensors)
    return tensors[result].numpy()


def rounded(data, spec, plain=False):
    """The packed bfloat16 bits of logical NCHW data."""
    p = RoundProblem(Layout("plain" if plain else "nhwc", data.shape, "float32"))
    with building_for(spec.dot):
        func = round_kernel(p)
    out = np.full(p.target.elements, 0x7FC0, np.uint16)  # It is NaN, so whatever is not written shows.
    got = call(func, spec, [data if plain else pack(data), out], 1)
    assert (got[-SLACK:] == 0x7FC0).all(), "the kernel wrote behind its output"
    return got


def run(p: ConvProblem, spec, weight, bias, data, residual, schedule=None):
    """The kernel's output as a logical array."""
    kernel = conv_kernel(p, spec.dot, weight, bias, None, schedule)
    pixels, bf16 = p.batch * p.out_height * p.out_width, p.epilogue.out_dtype == "bfloat16"
    out = np.full(pixels * p.out_stride + SLACK, GUARD, np.uint16 if bf16 else np.float32)
    arrays = [data, *kernel.constants, *([pack(residual)] if p.epilogue.residual else []), out]
    stage = [np.full(kernel.workspace, 0x7FC0, np.uint16)] if kernel.workspace else []
    got = call(kernel.func, spec, arrays + stage, len(arrays) - 1)
    assert (got[pixels * p.out_stride :] == GUARD).all(), "the kernel wrote behind its output"
    logical = (
        got[: pixels * p.out_stride]
        .reshape(p.batch, p.out_height, p.out_width, p.out_stride)[..., : p.out_channels]
        .transpose(0, 3, 1, 2)
    )
    return kernel, np.ascontiguousarray(logical)
