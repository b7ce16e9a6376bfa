"""Candidates on this CPU: shared libraries through TVM's runtime."""

import time
from collections.abc import Callable, Mapping

import numpy as np

from .. import detect
from ..native.stream import aligned
from ..tvm.native_library import open_library, runtime, use_threads
from .job import Candidate, MeasuringTask

_SLACK = 64  # Kernels may read this many elements behind a buffer.


class CpuDevice:
    """The processor of this machine, which kernels are measured on. threads: most cores that kernels are measured with.
    about: the processor's name."""

    def __init__(self, threads: int) -> None:
        detect.request_amx()
        self.about = {"name": detect.cpu_name()}
        use_threads(threads)

    def use_threads(self, count: int) -> None:
        """Sets how many cores the next runs use, in this process."""
        use_threads(count)

    def usable(self) -> bool:
        """A library that fails leaves the others as they are."""
        return True

    def load(self, task: MeasuringTask, candidate: Candidate, blobs: Mapping[str, bytes]) -> "CpuKernel":
        """The candidate with its operands in memory, ready to be run."""
        return CpuKernel(task, candidate, blobs)


class CpuKernel:
    """A run of the library calls the kernel once per copy of the constants."""

    def __init__(self, task: MeasuringTask, candidate: Candidate, blobs: Mapping[str, bytes]) -> None:
        made: dict[str, Callable[[int], np.ndarray]] = {
            "input": lambda number: task.inputs[number].array(),
            "constant": lambda number: np.tile(
                np.frombuffer(blobs[candidate.constants[number]], np.uint8), candidate.copies
            ),
            "zero": lambda number: np.zeros(max(number, 1), np.uint8),
            "output": lambda number: np.full(task.output.size, 0x5A, np.uint8).view(task.output.dtype),
        }
        self._arrays = [_kept(made[kind](number)) for kind, number in candidate.operands]
        self._output = self._arrays[[kind for kind, _ in candidate.operands].index("output")]
        self._arguments = [runtime().from_dlpack(array) for array in self._arrays]
        self._run, self._copies = open_library(blobs[candidate.code])[candidate.function], candidate.copies

    def answer(self) -> np.ndarray:
        """Runs it once; the bytes of its result, in an array that the next run overwrites."""
        self._run(*self._arguments)
        return self._output

    def seconds(self, number: int) -> float:
        """Seconds of one call of the kernel, the mean over at least `number`."""
        runs = -(-number // self._copies)
        start = time.perf_counter()
        for _ in range(runs):
            self._run(*self._arguments)
        return (time.perf_counter() - start) / (runs * self._copies)

    def close(self) -> None:
        """Does nothing, as arrays and library go with the object."""


def _kept(array: np.ndarray) -> np.ndarray:
    """The array on a 64-byte boundary, with slack behind it."""
    made = aligned((array.size + _SLACK,), array.dtype)
    made[: array.size] = array
    return made[: array.size]
