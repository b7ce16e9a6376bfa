"""Tuning from end to end: workers, builders, database and session put together."""

import time
from contextlib import contextmanager, nullcontext

from ..targets import detect
from ..targets.cuda.running.identity import on_device
from ..targets.errors import OctetError
from ..targets.spec import TargetSpec
from ..targets.x86.peak import measure as measure_peak
from .builder import builders
from .cuda_builder import CudaBuilder
from .cuda_runner import CudaRunner, RemoteDevice, check_device, here
from .database import Database
from .fleet import LocalWorker, tracked_workers
from .pool import RunnerPool
from .runner import Runner
from .session import Session
from .state import Budget
from .tasks import Task

PEAK_RUNS = 8  # of each of its loops: half a second


def tune(tasks: list[Task], spec: TargetSpec, database: Database, budget: Budget, threads: int | None = None, tracker: str | None = None,
         key: str | None = None, progress=lambda session: None) -> Session:
    """Runs a session and returns it, finished. threads: most cores a kernel may use (it is measured with one core, too); None for all.
    tracker, key: measure on the workers that a TVM RPC tracker has under `key`, instead of here. Raises OctetError when nothing could be measured."""
    started = time.monotonic()
    cores = threads if threads is not None else detect.cores()
    with _workers(spec, cores, tracker, key) as (runner, where), builders_of(spec) as builder:
        spec = on_device(spec, where) if spec.kind == "cuda" else spec  # records are of the device that measures
        peak = measure_peak(spec, cores, PEAK_RUNS) if tracker is None and spec.kind == "cpu" else None
        session = Session(tasks, spec, database, builder, runner, where, progress, peak, started)
        session.run(budget)
        return session


def builders_of(spec: TargetSpec):
    """A context manager with the builder of a target."""
    return nullcontext(CudaBuilder(spec, detect.cores())) if spec.kind == "cuda" else builders(spec, detect.cores())


@contextmanager
def _workers(spec, cores, tracker, key):
    """(what measures, whose figures these are)."""
    counts = tuple(sorted({1, cores}))
    if (tracker is None) != (key is None):
        raise OctetError("tune: --tracker and --key belong together; give both or none")
    if spec.kind == "cuda":
        if tracker is None:
            yield CudaRunner(), here(spec)
        else:
            where = check_device(tracked_workers(tracker, key, spec)[0].connect(), spec)
            yield RunnerPool([CudaRunner(RemoteDevice(worker)) for worker in tracked_workers(tracker, key, on_device(spec, where))]), where
        return
    if tracker is not None:
        yield RunnerPool([Runner(worker, counts) for worker in tracked_workers(tracker, key, spec)]), f"workers {key} of {tracker}"
        return
    lacks = detect.missing(spec.features)
    if lacks:
        raise OctetError(f"tune: target {spec.name} needs {', '.join(lacks)}, which this CPU lacks; measure on other machines with --tracker and --key")
    with LocalWorker(cores) as worker:
        yield Runner(worker, counts), detect.cpu_name()
