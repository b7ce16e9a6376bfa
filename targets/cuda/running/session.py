"""A session on a CUDA device. Needs the driver only: no toolkit, no TVM."""

import threading
from collections.abc import Sequence

import numpy as np

from ... import detect
from ...batches import Arrays, Results, run_samples
from ...errors import OctetError, PackageError
from ...runtime import Session
from ...variant import Step, Variant
from .driver import device
from .loaded import Loaded


class CudaSession(Session):
    """Runs one variant of kind "cuda" on the first visible device. As `Session`; threads are of no use to it.

    device: what it runs on (number, name, arch)."""

    def __init__(self, variant: Variant, threads: int | None = None, reuse_outputs: bool = False) -> None:
        absent = detect.missing(variant.features)
        if absent:
            found = device()
            here = (
                f"this machine's {found.name} is sm_{found.arch}"
                if found is not None
                else "this machine has no CUDA device or no driver"
            )
            raise PackageError(
                f"target {variant.target}: {here}; load another variant of the package, or compile for one of `octet "
                "targets`"
            )
        if threads is not None and threads < 1:
            raise OctetError(f"threads is {threads}; it must be 1 or more")
        self.threads = 1
        self._describe(variant)
        self.device = device()
        self._lock = threading.Lock()
        self._reuse_outputs = reuse_outputs
        self._loaded = Loaded(variant)
        self._staging = self._loaded.inputs
        self._results = {spec.name: array for spec, array in zip(self.outputs, self._loaded.outputs, strict=True)}

    @property
    def streams(self) -> int:
        """Always 1: runs of several callers wait for each other."""
        return 1

    def run(  # type: ignore[override] # health is refused, so the answer is never a pair
        self, inputs: Arrays, recompute: bool = False, health: bool = False
    ) -> Results:
        """Runs the network once. recompute: of no meaning here, as no variant for a GPU checks its sums. health:
        refused, as none counts what it clips."""
        if health:
            raise OctetError(
                "run: health is counted by variants for CPUs, compiled with --count-clips; leave health out"
            )
        arrays = self._given.arrays(inputs)
        with self._lock:
            self._stage(arrays)
            self._loaded.run()
            return (
                self._results if self._reuse_outputs else {name: array.copy() for name, array in self._results.items()}
            )

    def run_many(self, inputs: Arrays, streams: int | None = None) -> Results:
        """Runs as `Session.run_many` does, one run after the other."""
        return run_samples(self, inputs)

    def profile(self, inputs: Arrays, repeat: int = 20) -> list[tuple[Step, float]]:
        """Seconds of every kernel on the device, its launch many times in a row; the median over `repeat` passes."""
        arrays = self._given.arrays(inputs)
        with self._lock:
            self._stage(arrays)
            seconds = np.array([self._loaded.step_seconds() for _ in range(repeat + 1)])
        return list(zip(self.steps, np.median(seconds[1:], axis=0).tolist(), strict=True))

    def device_seconds(self, inputs: Arrays, repeat: int = 20) -> float:
        """Seconds of one pass of all kernels as a graph, data already on the device; the mean over `repeat` passes or a
        few more."""
        arrays = self._given.arrays(inputs)
        with self._lock:
            self._stage(arrays)
            self._loaded.run()
            return self._loaded.pass_seconds(repeat)

    def close(self) -> None:
        """Gives the device's memory back; the session can no longer run."""
        with self._lock:
            self._loaded.close()

    def _stage(self, arrays: Sequence[np.ndarray]) -> None:
        self._loaded.enter()  # A session may be called from any thread.
        for array, staging in zip(arrays, self._staging, strict=True):
            staging[...] = array
