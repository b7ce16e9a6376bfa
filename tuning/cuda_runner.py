"""Measures built CUDA kernels: on this machine's device, or on workers that have one. What travels is code and its
launch (targets/measure/batch.py)."""

import json
import math
from collections.abc import Callable
from typing import Any

from ..targets.cuda.running.device_identity import device_identity, device_of, may_be_one_device
from ..targets.cuda.running.driver import device
from ..targets.errors import OctetError, TargetError
from ..targets.kinds.backends import BACKENDS
from ..targets.measure.batch import MOST_FAILURES, Batch, Figures, run_batch
from ..targets.measure.rounds import ratios
from ..targets.schema import Name, Text, checked, parsed
from ..targets.spec import TargetSpec
from .cuda_builder import CudaBuilt
from .jobs import batch_with_default
from .portable_case import CudaCase
from .runner import Compared, Measured

_FILE = "octet-batch"
MEASURE, DEVICE = "octet.measure", "octet.device"  # A worker offers its functions under these names.
_MOST_CONNECTS = 3


class CudaRunner:
    """Measures CUDA kernels, a batch of them at a time.

    measure: what takes a Batch to its Figures."""

    def __init__(self, measure: Callable[[Batch], Figures] = run_batch):
        self._measure = measure

    def compare(
        self, case: CudaCase, default: CudaBuilt, candidates: list[CudaBuilt], rounds: int, until: float = math.inf
    ) -> Compared:
        """Measures the default and every candidate in one batch, which goes to the device as a whole: `until` ends
        nothing. Raises OctetError when the default cannot be measured."""
        found = self._measure(batch_with_default(case, [default, *candidates], rounds))
        first, *others = (_outcome(found, index) for index in range(len(candidates) + 1))
        return Compared(first, tuple(others))


def _outcome(figures: Figures, index: int) -> Measured:
    seconds = figures.seconds.get(index)
    if seconds is None:
        return Measured(error=figures.errors.get(index, "was not measured"))
    return Measured(float(seconds[:, -1].min()), ratios(seconds, figures.seconds[0]))


def runs(spec: TargetSpec, arch: int) -> bool:
    """Whether a device of that architecture runs the target's code."""
    return arch >= spec.extra["arch"] if spec.extra["code"] == spec.extra["arch"] else arch == spec.extra["arch"]


def here(spec: TargetSpec) -> str:
    """The identity of this machine's device. Raises TargetError where it does not run the target's code, or another one
    was named."""
    gpu = device()
    if gpu is None or not runs(spec, gpu.arch):
        has = f"its {gpu.name} is sm_{gpu.arch}" if gpu is not None else "it has no CUDA device or no driver"
        raise TargetError(
            f"tune: target {spec.name} cannot be measured on this machine, {has}; give --tracker and --key, or "
            "--export-candidates DIR for `octet measure` elsewhere"
        )
    named = device_of(spec)
    if named is not None and not may_be_one_device(named, gpu.identity):
        raise TargetError(
            f"tune: target {spec.name}@{named}: this machine's device is {gpu.identity}; leave out what follows the @"
        )
    return gpu.identity


class RemoteDevice:
    """The GPU of another machine, where an `octet worker` measures.

    worker: connect(beyond) -> an RPC session with `octet worker` that may take so many seconds beyond the usual,
    failed() after one that broke. Called with a Batch, it answers with the Figures. The worker itself ends a candidate
    that hangs and starts anew without it, so the session must outlast as many as there are."""

    def __init__(self, worker):
        self._worker = worker

    def __call__(self, batch: Batch) -> Figures:
        """Sends the batch and waits for its figures, on a new connection where the last one broke. Raises OctetError
        with the worker's reason where no connection gives any."""
        tries = len(batch.task.candidates) + MOST_FAILURES
        beyond = tries * BACKENDS[batch.kind].quiet_seconds
        for _ in range(_MOST_CONNECTS):
            try:
                remote = self._worker.connect(beyond)
                remote.upload(bytearray(batch.pack()), _FILE)
                return Figures.read(remote.get_function(MEASURE)(_FILE))
            except TargetError:
                raise
            except Exception as error:  # The RPC layer raises whatever happened on the other side.
                self._worker.failed()
                reason = str(error).strip().splitlines()
        raise OctetError(
            f"tuning: no worker measured the default kernel: {reason[-1][:200] if reason else 'no answer'}"
        )


def check_device(remote, spec: TargetSpec) -> str:
    """The identity of a worker's device. remote: an RPC session. Raises TargetError when it has none for the target, or
    another one than the target names."""
    try:
        reported: dict[str, Any] = checked(parsed(remote.get_function(DEVICE)()), dict[Name, Text | int | None])
    except Exception as error:  # An unknown function is an AttributeError or a ValueError of the other side.
        raise TargetError(
            f"tune: a worker cannot measure {spec.name}: it is no `octet worker` of this version; start one there"
        ) from error
    if not runs(spec, reported.get("arch", 0)):
        has = f"is sm_{reported.get('arch')}" if reported else "is missing"
        raise TargetError(
            f"tune: a worker's CUDA device {has}, target {spec.name} needs sm_{spec.extra['arch']}; give machines of "
            "another kind another --key"
        )
    known = device_identity(reported.get("name", "unknown"), reported.get("multiprocessors"))
    named = device_of(spec)
    if named is not None and not may_be_one_device(named, known):
        raise TargetError(
            f"tune: a worker's CUDA device is {known}, not {named}, and records are one device's; give machines of "
            "another kind another --key"
        )
    return known


def offer() -> None:
    """Makes this process, a worker's, measure batches for sessions elsewhere."""
    from tvm_ffi import get_global_func, register_global_func

    def measure(name):
        path = get_global_func("tvm.rpc.server.workpath")(name)
        with open(path, "rb") as file:
            return run_batch(Batch.unpack(file.read())).as_json()

    def about():
        found = device()
        return json.dumps(
            {"name": found.name, "multiprocessors": found.multiprocessors, "arch": found.arch}
            if found is not None
            else {}
        )

    register_global_func(MEASURE, measure, override=True)
    register_global_func(DEVICE, about, override=True)
