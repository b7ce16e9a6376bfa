"""A schedule of a CUDA kernel -> a cubin and its launch, for measuring. Needs nvcc, no device."""

import functools
import hashlib
import math
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from ..targets.cuda.compiling.compiler import compile_cubin
from ..targets.cuda.compiling.source import source
from ..targets.cuda.generated.kernels import default_kernel, stock_kernel
from ..targets.cuda.generated.nest import NestWorkload
from ..targets.cuda.generated.stock import Stock
from ..targets.cuda.kernel import CudaKernel
from ..targets.cuda.kernels.conv import conv_kernel, packed_views, tiled_kernel
from ..targets.cuda.kernels.conv_schedule import rounded_up, tile_for
from ..targets.cuda.workload import CudaWorkload
from ..targets.errors import TargetError
from ..targets.measure.job import Role
from ..targets.spec import TargetSpec
from .portable_case import CudaCase, portable_case
from .spaces.cuda_families import family_of


@dataclass(frozen=True)
class CudaBuilt:
    """A CUDA kernel as compiled on its own, with what launching it needs.

    code: a cubin. function: in there. kernel: how it is launched. constants: weights, bias, multiplier as the kernel
    reads them. operands: as in targets/measure/job.py. family, schedule: as built."""

    code: bytes
    function: str
    kernel: CudaKernel
    constants: tuple[np.ndarray, ...]
    operands: tuple[tuple[Role, int], ...]
    family: str
    schedule: object


def build(workload: CudaWorkload | NestWorkload, schedule, case: CudaCase, spec: TargetSpec) -> CudaBuilt:
    """Compiles one CUDA kernel for a device.

    schedule: None for the analytical default. Raises TargetError where the compiler refuses, or must keep registers
    in memory."""
    if isinstance(workload, NestWorkload):
        kernel = (
            stock_kernel(workload, schedule, "generated")
            if schedule is not None
            else default_kernel(workload, "generated")
        )
        return _compiled(
            kernel,
            (),
            (*_numbered("input", len(case.made)), ("output", 0)),
            schedule if schedule is not None else Stock(),
            spec,
        )
    p, e = workload.problem, workload.epilogue
    if p.batched:
        schedule = schedule if schedule is not None else tile_for(p, spec)
        kernel, constants = tiled_kernel("matmul", p, e, schedule, spec, packed_views(p)), _rows(p, schedule, case)
    else:
        made = conv_kernel(p, e, case.weight, case.bias, case.multiplier, spec, schedule)
        kernel, constants, schedule = made.kernel, made.constants, made.schedule
    residual: tuple[Role, int] = ("input", 1 if case.residual is not None else 0)
    state: list[tuple[Role, int]] = [("zero", kernel.state)] if kernel.state else []
    operands = (("input", 0), *_numbered("constant", len(constants)), residual, *state, ("output", 0))
    return _compiled(kernel, constants, operands, schedule, spec)


def _numbered(role: Role, count: int) -> list[tuple[Role, int]]:
    return [(role, number) for number in range(count)]


def _compiled(kernel, constants, operands: tuple[tuple[Role, int], ...], schedule, spec: TargetSpec) -> CudaBuilt:
    function = f"octet_{hashlib.sha256(repr(kernel).encode()).hexdigest()[:16]}"
    code, usage = compile_cubin(source({kernel: function}), spec.extra["code"])
    used = usage.get(function)
    if used is not None and used.spills:
        raise TargetError(f"its registers do not suffice: {used.spills} bytes spilled")
    return CudaBuilt(
        code, function, kernel, tuple(map(np.ascontiguousarray, constants)), operands, family_of(schedule), schedule
    )


def _rows(p, tile, case):
    """The right operand of a product with its columns as rows: [batch][N][K rounded up], zeros behind; bias, multiplier
    [N rounded up]."""
    outputs = rounded_up(p.outputs, tile.columns)
    rows = np.zeros((p.groups, p.outputs, rounded_up(p.channels, 16)), np.int8)
    rows[:, :, : p.channels] = case.weight.transpose(0, 2, 1)
    return rows, *(np.pad(vector, (0, outputs - p.outputs)) for vector in (case.bias, case.multiplier))


class CudaBuilder:
    """Compiles many candidates at a time, each by a compiler of its own."""

    def __init__(self, spec: TargetSpec, processes: int):
        self._spec, self._processes, self._lock = spec, processes, threading.Lock()
        self._case = functools.lru_cache(maxsize=2)(portable_case)

    def build(self, wanted: list, until: float = math.inf) -> list:
        """Compiles candidates side by side, in threads.

        wanted: (workload, schedule) pairs, None for the default schedule. For each a CudaBuilt, a str that says why
        there is none, or None where compiling would have begun after `until` (time.monotonic())."""
        with ThreadPoolExecutor(self._processes) as threads:
            return list(threads.map(lambda pair: self._one(pair) if time.monotonic() < until else None, wanted))

    def _one(self, wanted):
        workload, schedule = wanted
        with self._lock:
            case = self._case(workload)
        try:
            return build(workload, schedule, case, self._spec)
        except TargetError as error:
            return f"did not compile: {str(error)[:160]}"
