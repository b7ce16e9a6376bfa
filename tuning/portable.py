"""Operands for measuring a kernel on another machine, and what NumPy says it must answer.

Data and residual are bytes that every machine makes for itself. Weights travel, so they repeat: with periods of 13 outputs and 29 channels they pack to a
few kilobytes, and an index that is wrong by any power of two still reads another value."""

from dataclasses import dataclass

import numpy as np

from ..passes.realize.reference_integer import INTEGER
from ..targets.cuda.workload import CudaWorkload
from ..targets.measure.job import Input, Output, digest
from ..targets.x86.layout import Layout, channel_stride
from ..targets.x86.workload import Workload
from .referee import Case

_DATA, _RESIDUAL, _WEIGHT = 1, 2, 3  # seeds
_PERIODS = (13, 29)  # of outputs and of channels


@dataclass(frozen=True)
class CudaCase:
    """weight: logical, int8 [O, I / groups, kh, kw], or the right operand [batch, K, N] of a product. bias int32 [O], multiplier float32 [O]: of a product, all
    the same. data, residual (or None): flat buffers. expected: what counts of the output, one row per pixel. inputs, output: as a job describes them."""

    weight: np.ndarray
    bias: np.ndarray
    multiplier: np.ndarray
    data: np.ndarray
    residual: np.ndarray | None
    expected: np.ndarray
    inputs: tuple[Input, ...]
    output: Output


def portable(workload: CudaWorkload) -> CudaCase:
    """The case of a CUDA workload."""
    return _product(workload) if workload.problem.batched else _convolution(workload)


def portable_x86(workload: Workload) -> tuple[Case, tuple[Input, ...], Output]:
    """The same for an int8 workload of a CPU: a case for `builder.build`, and its operands as a job describes them."""
    p, e = workload.problem, workload.problem.epilogue
    assert p.dtype == "int8" and not p.planar, "the order of float32 sums decides their bits"
    layouts = [Layout("nhwc", shape, dtype) for shape, dtype in (((p.batch, p.channels, p.height, p.width), "int8"), ((p.batch, p.out_channels, p.out_height, p.out_width), e.out_dtype))]
    inputs = [Input.of(_DATA, layouts[0].elements, "uint8")] + ([Input.of(_RESIDUAL, layouts[1].elements, "uint8")] if e.residual else [])
    flat = [entry.array() for entry in inputs]
    logical = [_logical((array ^ 128).view(np.int8), layout.shape, channel_stride(layout.shape[1], "int8")) for array, layout in zip(flat, layouts)]
    weight = periodic(p.out_channels, p.channels // p.groups, *p.kernel)
    bias, multiplier = _vectors(p.out_channels, weight[0].size)
    attrs = {"strides": p.strides, "padding": p.padding, "dilation": p.dilation, "groups": p.groups, "data_zero_point": p.data_zero_point,
             "out_zero_point": e.out_zero_point, "clip_min": e.clip_min, "clip_max": e.clip_max, "residual_zero_point": e.residual_zero_point,
             "residual_multiplier": e.residual_multiplier, "out_dtype": e.out_dtype}  # fmt: skip
    expected = np.asarray(INTEGER["octet.conv2d"]([logical[0], weight, bias, multiplier, *logical[1:]], attrs))
    rows = np.ascontiguousarray(expected.transpose(0, 2, 3, 1)).reshape(layouts[1].pixels, -1)
    stored = (rows.view(np.uint8) ^ 128) if e.out_dtype == "int8" else rows
    pitch = channel_stride(p.out_channels, e.out_dtype)
    output = Output(layouts[1].elements * rows.itemsize, layouts[1].storage, len(rows), pitch * rows.itemsize, rows.shape[1] * rows.itemsize, digest(stored))
    return Case(weight, bias, multiplier, flat[0], flat[1] if e.residual else None, expected, layouts[1]), tuple(inputs), output


def periodic(outputs: int, channels: int, *kernel: int) -> np.ndarray:
    """int8 [outputs, channels, *kernel] in -127..127 that repeats along outputs and channels."""
    periods = [min(extent, period) for extent, period in zip((outputs, channels), _PERIODS)]
    block = np.maximum(_bytes(_WEIGHT, *periods, *kernel).view(np.int8), -127)
    return np.ascontiguousarray(block[np.arange(outputs) % periods[0]][:, np.arange(channels) % periods[1]])


def _bytes(seed, *shape):
    return Input.of(seed, int(np.prod(shape)), "uint8").array().reshape(shape)


def _vectors(outputs, depth):
    """(bias int32, multiplier float32): most results lie within int8."""
    bias = _bytes(4, outputs, 2).view(np.int16)[:, 0].astype(np.int32) // 6
    return bias, (_bytes(5, outputs).astype(np.float32) + np.float32(1)) * np.float32(0.02 / 256 / np.sqrt(depth))


def _logical(flat, shape, stride):
    """The flat channels-last buffer as NCHW."""
    n, c, h, w = shape
    return np.ascontiguousarray(flat[: n * h * w * stride].reshape(n, h, w, stride)[..., :c].transpose(0, 3, 1, 2))


def _convolution(workload):
    p, e = workload.problem, workload.epilogue
    channels, outputs = p.groups * p.channels, p.groups * p.outputs
    inputs = [Input.of(_DATA, p.images * p.height * p.width * p.stride, "int8")]
    if e.residual:
        inputs.append(Input.of(_RESIDUAL, p.pixels * p.out_stride, "int8"))
    flat = [entry.array() for entry in inputs]
    shapes = [((p.images, channels, p.height, p.width), p.stride), ((p.images, outputs, p.out_height, p.out_width), p.out_stride)]
    logical = [_logical(array, *shape) for array, shape in zip(flat, shapes)]
    weight = periodic(outputs, p.channels, p.kernel_height, p.kernel_width)
    bias, multiplier = _vectors(outputs, weight[0].size)
    bottom, right = (max(0, (out - 1) * step + (kernel - 1) * dilation + 1 - extent - before) for out, step, kernel, dilation, extent, before in (
        (p.out_height, p.step_height, p.kernel_height, p.dilation_height, p.height, p.top),
        (p.out_width, p.step_width, p.kernel_width, p.dilation_width, p.width, p.left)))  # fmt: skip
    attrs = {"strides": (p.step_height, p.step_width), "padding": (p.top, p.left, bottom, right), "dilation": (p.dilation_height, p.dilation_width), "groups": p.groups,
             "data_zero_point": p.zero_point, **_epilogue(e)}  # fmt: skip
    expected = np.asarray(INTEGER["octet.conv2d"]([logical[0], weight, bias, multiplier, *logical[1:]], attrs))
    if not e.to_float:
        expected = expected.transpose(0, 2, 3, 1)
    return _case(weight, bias, multiplier, flat, inputs, expected, p.pixels, p.out_stride, e.to_float)


def _product(workload):
    p, e = workload.problem, workload.epilogue
    inputs = [Input.of(_DATA, p.groups * p.images * p.stride, "int8")]
    flat = [entry.array() for entry in inputs]
    left = flat[0].reshape(p.groups, p.images, p.stride)[..., : p.channels]
    right = periodic(p.channels, p.outputs, p.groups).transpose(2, 0, 1)
    multiplier = np.float32(0.01 / np.sqrt(p.channels))
    expected = np.asarray(INTEGER["octet.matmul"]([left, right], {"multiplier": float(multiplier), **_epilogue(e)}))
    vectors = np.zeros(p.outputs, np.int32), np.full(p.outputs, multiplier)
    return _case(right, *vectors, flat, inputs, expected, p.groups * p.images, p.out_stride, e.to_float)


def _epilogue(e):
    low, high = (e.low_float, e.high_float) if e.to_float else (e.low, e.high)
    return {"out_dtype": "float32" if e.to_float else "int8", "out_zero_point": e.zero_point, "clip_min": low, "clip_max": high,
            "residual_zero_point": e.residual_zero_point, "residual_multiplier": e.residual_multiplier}  # fmt: skip


def _case(weight, bias, multiplier, flat, inputs, expected, pixels, stride, to_float):
    """Float results lie plain, int8 results as rows of `stride` bytes."""
    expected = np.ascontiguousarray(expected).reshape(1 if to_float else pixels, -1)
    used = expected.shape[1] * expected.itemsize
    pitch = used if to_float else stride
    output = Output(len(expected) * pitch, "float32" if to_float else "int8", len(expected), pitch, used, digest(expected))
    return CudaCase(weight, bias, multiplier, flat[0], flat[1] if len(flat) > 1 else None, expected, tuple(inputs), output)
