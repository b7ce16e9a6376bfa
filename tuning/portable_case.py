"""Operands for measuring a CUDA kernel, here or on another machine (seeded_operands.py), and what NumPy says it must
answer."""

from dataclasses import dataclass

import numpy as np

from ..passes.referee.integer import INTEGER
from ..targets.cuda.compiling.source import source
from ..targets.cuda.emulator import Emulator
from ..targets.cuda.generated.kernels import default_kernel
from ..targets.cuda.generated.nest import NestWorkload
from ..targets.cuda.workload import CudaWorkload
from ..targets.measure.job import Input, Output, digest
from .seeded_operands import epilogue_vectors, periodic

_DATA, _RESIDUAL = 1, 2  # Each kind of operand has a seed of its own, so that no two are equal.


@dataclass(frozen=True)
class CudaCase:
    """Operands of a CUDA kernel, and what NumPy says it must answer.

    weight: logical, int8 [O, I / groups, kh, kw], or the right operand [batch, K, N] of a product. bias int32 [O],
    multiplier float32 [O]: of a product, all the same. data, residual (or None): flat buffers. expected: what counts of
    the output, one row per pixel. made, output: as a job describes them."""

    weight: np.ndarray
    bias: np.ndarray
    multiplier: np.ndarray
    data: np.ndarray
    residual: np.ndarray | None
    expected: np.ndarray
    made: tuple[Input, ...]
    output: Output
    travels = True

    @property
    def moved(self) -> int:
        """Bytes that any kernel reads and writes once."""
        return sum(array.nbytes for array in (self.data, self.weight, self.expected)) + (
            self.residual.nbytes if self.residual is not None else 0
        )


def portable_case(workload: CudaWorkload | NestWorkload) -> CudaCase:
    """The case of a CUDA workload."""
    if isinstance(workload, NestWorkload):
        return _nest(workload)
    return _product(workload) if workload.problem.batched else _convolution(workload)


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
    shapes = [
        ((p.images, channels, p.height, p.width), p.stride),
        ((p.images, outputs, p.out_height, p.out_width), p.out_stride),
    ]
    logical = [_logical(array, *shape) for array, shape in zip(flat, shapes)]
    weight = periodic(outputs, p.channels, p.kernel_height, p.kernel_width)
    bias, multiplier = epilogue_vectors(outputs, weight[0].size)
    bottom, right = (
        max(0, (out - 1) * step + (kernel - 1) * dilation + 1 - extent - before)
        for out, step, kernel, dilation, extent, before in (
            (p.out_height, p.step_height, p.kernel_height, p.dilation_height, p.height, p.top),
            (p.out_width, p.step_width, p.kernel_width, p.dilation_width, p.width, p.left),
        )
    )
    attrs = {
        "strides": (p.step_height, p.step_width),
        "padding": (p.top, p.left, bottom, right),
        "dilation": (p.dilation_height, p.dilation_width),
        "groups": p.groups,
        "data_zero_point": p.zero_point,
        **_epilogue(e),
    }
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


def _nest(workload):
    """What the default kernel computes in the emulator: of a generated kernel there is no other referee."""
    inputs = [
        Input.of(_DATA + i, int(np.prod(shape)) * np.dtype(dtype).itemsize, dtype)
        for i, (shape, dtype) in enumerate(workload.operands)
    ]
    flat, (shape, dtype) = [entry.array() for entry in inputs], workload.result
    kernel = default_kernel(workload, "generated")
    emulator = Emulator(source({kernel: "octet_nest"}), {"octet_nest": kernel.operands})
    buffers = [emulator.buffer(array) for array in (*flat, np.zeros(shape, dtype))]
    emulator.launch("octet_nest", kernel.grid, kernel.block, kernel.shared, [buffer.address for buffer in buffers])
    expected, none = buffers[-1].array.copy().reshape(1, -1), np.zeros(0, np.int8)
    data = np.concatenate([none, *(array.view(np.int8) for array in flat)])
    output = Output(expected.nbytes, dtype, 1, expected.nbytes, expected.nbytes, digest(expected))
    return CudaCase(none, none, none, data, None, expected, tuple(inputs), output)


def _epilogue(e):
    low, high = (e.low_float, e.high_float) if e.to_float else (e.low, e.high)
    return {
        "out_dtype": "float32" if e.to_float else "int8",
        "out_zero_point": e.zero_point,
        "clip_min": low,
        "clip_max": high,
        "residual_zero_point": e.residual_zero_point,
        "residual_multiplier": e.residual_multiplier,
    }


def _case(weight, bias, multiplier, flat, inputs, expected, pixels, stride, to_float):
    """Float results lie plain, int8 results as rows of `stride` bytes."""
    expected = np.ascontiguousarray(expected).reshape(1 if to_float else pixels, -1)
    used = expected.shape[1] * expected.itemsize
    pitch = used if to_float else stride
    output = Output(
        len(expected) * pitch, "float32" if to_float else "int8", len(expected), pitch, used, digest(expected)
    )
    return CudaCase(
        weight, bias, multiplier, flat[0], flat[1] if len(flat) > 1 else None, expected, tuple(inputs), output
    )
