"""Tuning for NVIDIA GPUs: candidates are machine code and launches, which a process beside a driver measures."""

from contextlib import contextmanager, nullcontext

from ..targets import detect
from ..targets.cuda.running.device_identity import on_device
from .cuda_builder import CudaBuilder
from .cuda_runner import CudaRunner, RemoteDevice, check_device, here
from .fleet import tracked_workers
from .pool import RunnerPool


class CudaTuner:
    """Compiles with nvcc or NVRTC; measures on this machine's device, or on those of a tracker's workers, which must be
    of one kind."""

    def builder(self, spec):
        return nullcontext(CudaBuilder(spec, detect.cores()))

    @contextmanager
    def workers(self, spec, cores, tracker, key):
        if tracker is None:
            yield CudaRunner(), here(spec)
            return
        where = check_device(tracked_workers(tracker, key, spec, check_device)[0].connect(), spec)
        yield (
            RunnerPool(
                [
                    CudaRunner(RemoteDevice(worker))
                    for worker in tracked_workers(tracker, key, on_device(spec, where), check_device)
                ]
            ),
            where,
        )
