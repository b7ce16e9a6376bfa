"""A schedule -> a shared library that runs its kernel again and again, as a network would: with weights that are not in
the nearest cache.

Building happens in child processes: a compiler that crashes or never ends costs one candidate.

The kernel is called `copies` times, each with its own copy of the constants, so that a large layer reads them from
where a whole network would.
The library also exports `octet_prepare`: it asks the operating system for the tile unit, so that any TVM RPC server can
run it."""

import functools
import math
import os
import time
from concurrent.futures import wait
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import tvm
from tvm import tirx
from tvm.script.ir_builder import IRBuilder
from tvm.support.popen_pool import PopenPoolExecutor
from tvm.tirx.script import builder as T

from ..passes.lower.codegen import compile_library
from ..passes.lower.entry import emit_library
from ..passes.lower.program import KernelCall, Place, Program
from ..targets.parent import die_with_parent
from ..targets.spec import TargetSpec
from ..targets.variant import Step, TensorSpec
from ..targets.x86.workload import Workload
from .kinds.kind import Case
from .kinds.registry import case_of, kind_of

COLD_BYTES = 4 << 20  # The constants of all copies together have so many bytes: more than a second-level cache holds.
MOST_COPIES = 8
ALIGNMENT = 64
BUILD_SECONDS = 60
# On x86-64 Linux these are arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA): a process asks once before it touches
# tile state.
_ARCH_PRCTL, _REQUEST, _TILES = 158, 0x1023, 18


@dataclass(frozen=True)
class Built:
    """A kernel as compiled on its own, with what calling it needs.

    library: the shared object. constants: uint8, one copy. arena_bytes: scratch. copies: calls per run. family,
    schedule: as built.
    out_elements, out_dtype: of the output buffer."""

    library: bytes
    constants: np.ndarray
    arena_bytes: int
    copies: int
    family: str
    schedule: object
    out_elements: int
    out_dtype: str


def build(workload: Workload, schedule, case: Case, spec: TargetSpec) -> Built:
    """Compiles one kernel for measuring. schedule: None for the analytical default."""
    emit = kind_of(workload).kernel
    assert emit is not None, "targets whose kinds emit nothing have a builder of their own"
    kernel = emit(workload.problem, case, schedule, spec)
    parts = [np.ascontiguousarray(constant).reshape(-1).view(np.uint8) for constant in kernel.constants]
    offsets, size = [], 0
    for part in parts:
        offsets.append(size)
        size += -(-(part.size + ALIGNMENT) // ALIGNMENT) * ALIGNMENT
    copies = max(1, min(MOST_COPIES, -(-COLD_BYTES // max(size, 1))))
    constants = np.zeros(max(size, ALIGNMENT), np.uint8)  # A kernel without any constants gets a blob as well.
    for offset, part in zip(offsets, parts):
        constants[offset : offset + part.size] = part
    step = Step("kernel", "", kernel.family, workload.dtype)

    def place(role, number, copy):
        if role == "constant":
            return Place("weights", copy * constants.size + offsets[number])
        return Place("arena", 0) if role == "workspace" else Place(role, number)

    calls = tuple(
        KernelCall("kernel", tuple(place(role, number, copy) for role, number in kernel.operands), step)
        for copy in range(copies)
    )
    program = Program(calls, copies * constants.size, kernel.workspace)
    signature = [TensorSpec(f"input{i}", array.shape, str(array.dtype)) for i, array in enumerate(case.inputs)]
    output = TensorSpec("output", (case.elements,), case.storage)
    module = emit_library(
        tvm.IRModule({"kernel": kernel.func.without_attr("global_symbol")}),
        program,
        signature,
        [output],
        stepwise=False,
        packed=True,
    )
    module.update_func(tvm.ir.GlobalVar("octet_prepare"), _prepare())
    library = compile_library(module, spec)
    return Built(
        library, constants, kernel.workspace, copies, kernel.family, kernel.schedule, case.elements, case.storage
    )


class Builder:
    """Builds in child processes; see `builders`."""

    def __init__(self, pool, spec: TargetSpec, job):
        self._pool, self._spec, self._job = pool, spec, job

    def build(self, wanted: list, until: float = math.inf) -> list:
        """Compiles candidates side by side, each in a child process.

        wanted: (workload, schedule) pairs, None for the default schedule. For each a Built, a str that says why
        there is none, or None where the time was up (`until`: time.monotonic()) before it was made."""
        jobs = [self._pool.submit(self._job, (workload, schedule, self._spec)) for workload, schedule in wanted]
        wait(jobs, None if until == math.inf else max(0.0, until - time.monotonic()))
        late = [job for job in jobs if not job.done()]
        for job in late:
            job.cancel()  # A job that is at work in a child process ends with the session.
        return [None if job in late else _outcome(job) for job in jobs]


def _job(job):
    """Runs in a child process."""
    import octet.passes  # noqa: F401 - prepares TVM

    workload, schedule, spec = job
    return build(workload, schedule, _case(workload), spec)


@contextmanager
def builders(spec: TargetSpec, processes: int, job=_job):
    """A Builder with so many child processes. job((workload, schedule, spec)) -> Built, there."""
    pool = PopenPoolExecutor(
        max_workers=processes, timeout=BUILD_SECONDS, initializer=die_with_parent, initargs=(os.getpid(),)
    )
    try:
        yield Builder(pool, spec, job)
    finally:
        pool._threadpool.shutdown(wait=False, cancel_futures=True)  # Jobs that still wait would start new processes.
        pool.shutdown()


_case = functools.lru_cache(maxsize=2)(case_of)


def _outcome(job):
    try:
        return job.result()
    except TimeoutError:
        return f"did not compile within {BUILD_SECONDS} s"
    except Exception as error:
        # The child process may have run into anything.
        lines = str(error).strip().splitlines() or [type(error).__name__]
        return f"did not compile: {lines[-1][:160]}"


def _prepare():
    """PrimFunc(state i32[1]): state[0] = result of the request for tiles, 0 where they may be used."""
    with IRBuilder() as builder:
        with T.prim_func():
            T.func_name("octet_prepare")
            T.func_attr({"global_symbol": "octet_prepare"})
            state = T.arg("state", T.Buffer((1,), "int32"))
            numbers = [tirx.const(number, "int64") for number in (_ARCH_PRCTL, _REQUEST, _TILES)]
            T.buffer_store(state, tirx.call_extern("int64", "syscall", *numbers).astype("int32"), [0])
    return builder.get()
