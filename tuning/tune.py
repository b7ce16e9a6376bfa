"""Tuning from end to end: workers, builders, database and session put together."""

import time

from ..targets import detect
from ..targets.cuda.running.device_identity import on_device
from ..targets.errors import OctetError
from ..targets.spec import TargetSpec
from ..targets.x86.peak import measure_peak as measure_peak
from .backends import tuner_of
from .database import Database
from .state import TuningLimits
from .tasks import Task
from .tuning_session import TuningSession

PEAK_RUNS = 8  # Each of the peak's loops runs so often, which takes half a second.


def tune(
    tasks: list[Task],
    spec: TargetSpec,
    database: Database,
    budget: TuningLimits,
    threads: int | None = None,
    tracker: str | None = None,
    key: str | None = None,
    progress=lambda session: None,
) -> TuningSession:
    """Runs a session and returns it, finished. threads: most cores a kernel may use (it is measured with one core,
    too); None for all.
    tracker, key: measure on the workers that a TVM RPC tracker has under `key`, instead of here. Raises OctetError when
    nothing could be measured."""
    started = time.monotonic()
    cores = threads if threads is not None else detect.cores()
    if (tracker is None) != (key is None):
        raise OctetError("tune: --tracker and --key belong together; give both or none")
    tuner = tuner_of(spec)
    with tuner.workers(spec, cores, tracker, key) as (runner, where), tuner.builder(spec) as builder:
        spec = on_device(spec, where) if spec.backend.per_device else spec  # Records are of the device that measures.
        peak = measure_peak(spec, cores, PEAK_RUNS) if tracker is None and spec.backend.host else None
        session = TuningSession(tasks, spec, database, builder, runner, where, progress, peak, started)
        session.run(budget)
        return session
