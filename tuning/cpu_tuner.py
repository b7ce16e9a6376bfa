"""Tuning for processors: candidates are shared libraries, which TVM's RPC servers run."""

from contextlib import contextmanager

from ..targets import detect
from ..targets.errors import OctetError
from .builder import builders
from .fleet import LocalWorker, tracked_workers
from .pool import RunnerPool
from .probe import check_worker
from .runner import Runner


class CpuTuner:
    """Compiles in child processes; measures in a server process here, or in those of a tracker's workers, with one core
    and with all."""

    def builder(self, spec):
        return builders(spec, detect.cores())

    @contextmanager
    def workers(self, spec, cores, tracker, key):
        counts = tuple(sorted({1, cores}))
        if tracker is not None:
            yield (
                RunnerPool([Runner(worker, counts) for worker in tracked_workers(tracker, key, spec, check_worker)]),
                f"workers {key} of {tracker}",
            )
            return
        lacks = detect.missing(spec.features)
        if lacks:
            raise OctetError(
                f"tune: target {spec.name} needs {', '.join(lacks)}, which this CPU lacks; measure on other machines "
                "with --tracker and --key"
            )
        with LocalWorker(cores) as worker:
            yield Runner(worker, counts), detect.cpu_name()
