"""Runs built kernels on a worker: a process reached through TVM's RPC, on this machine or on another one.

Candidates are timed against the default in interleaved rounds, so that a machine that slows down slows both. A kernel
that crashes its worker or never returns costs its own measurement and nothing else."""

import math
import time
from dataclasses import dataclass

import numpy as np
import tvm

from ..targets.errors import OctetError
from ..targets.measure.rounds import ratios
from .builder import Built
from .kinds.kind import Case

# A repetition is long against the 20 us of a timer and a call, and short against a time slice of the operating system.
REPEAT_SECONDS = 0.001
REPEATS = 8  # The fastest of a round's repetitions counts: whatever interrupts a kernel only ever slows it down.
HOPELESS = 1.4  # A candidate that takes so many times the default's time in one round is not measured again.
MOST_CONNECTS = 3


@dataclass(frozen=True)
class Measured:
    """What measuring one candidate came to.

    seconds: of one kernel call, with the most cores; ratios: time over the default's, one figure per group of
    rounds, the geometric mean over the thread counts.
    None where it failed, and `error` says why, or where the time was up before."""

    seconds: float | None = None
    ratios: np.ndarray | None = None
    error: str = ""

    @property
    def late(self) -> bool:
        """Whether it was not measured for lack of time."""
        return self.seconds is None and not self.error


@dataclass(frozen=True)
class Compared:
    """The default's figures and the candidates'."""

    default: Measured
    candidates: tuple[Measured, ...]


class LoadedKernel:
    """A kernel on a worker, with its operands."""

    def __init__(self, remote, built: Built, case: Case, name: str):
        remote.upload(bytearray(built.library), name)
        self._module = remote.load_module(name)
        device = remote.cpu(0)
        self._module["octet_prepare"](tvm.runtime.tensor(np.zeros(1, np.int32), device))
        weights = np.tile(built.constants, built.copies)
        arrays = [
            weights,
            np.zeros(max(1, built.arena_bytes), np.uint8),
            *case.inputs,
            np.zeros(built.out_elements, built.out_dtype),
        ]
        self._arguments = [tvm.runtime.tensor(array, device) for array in arrays]
        self._device, self._copies = device, built.copies

    def answer(self) -> np.ndarray:
        """The output buffer after one run."""
        self._module["octet_run"](*self._arguments)
        return self._arguments[-1].numpy()

    def seconds(self, number: int, repeats: int = REPEATS) -> float:
        """Seconds of one kernel call: the fastest of some means."""
        timed = self._module.time_evaluator("octet_run", self._device, number=number, repeat=repeats)(*self._arguments)
        return min(timed.results) / self._copies

    def number(self) -> int:
        """Runs that fill a repetition."""
        self.seconds(1, 1)
        return max(1, min(2000, int(REPEAT_SECONDS / max(self.seconds(2, 1) * self._copies, 1e-7))))


class Runner:
    """Measures the kernels of a CPU on a worker.

    worker: connect() -> an RPC session, raises when none answers; failed() after one that broke. threads: the
    numbers of cores to measure with, e.g. (1, 2): a package runs with any."""

    def __init__(self, worker, threads: tuple[int, ...]):
        self._worker, self._threads = worker, threads

    def compare(
        self, case: Case, default: Built, candidates: list[Built], rounds: int, until: float = math.inf
    ) -> Compared:
        """Measures the default and every candidate, each checked against the referee first. until: time.monotonic()
        after which no further candidate and no further round is begun; one round always is. Raises OctetError when the
        default cannot be measured."""
        errors: dict[int, str] = {}
        failures = 0
        while True:
            waiting = [index for index in range(len(candidates)) if index not in errors]
            blamed = [-1]
            try:
                seconds = self._session(
                    case, default, {index: candidates[index] for index in waiting}, rounds, until, blamed, errors
                )
                break
            except Exception as error:  # The RPC layer raises whatever happened on the other side.
                self._worker.failed()
                if blamed[0] >= 0:
                    errors[blamed[0]] = _line(error)
                    continue
                failures += 1
                if failures >= MOST_CONNECTS:
                    raise OctetError(
                        f"tuning: the default kernel could not be measured on any worker: {_line(error)}"
                    ) from error
        outcomes = (
            _outcome(seconds.get(index), seconds[-1], errors.get(index, "")) for index in range(len(candidates))
        )
        return Compared(_outcome(seconds[-1], seconds[-1]), tuple(outcomes))

    def _session(self, case, default, candidates, rounds, until, blamed, errors):
        """One connection: {index: seconds [rounds, thread counts]}, the default as -1. blamed[0]: the candidate at
        work, -1 for the default."""
        remote = self._worker.connect()
        use_threads = remote.get_function("runtime.config_threadpool")
        use_threads(1, max(self._threads))
        kernels = {}
        for index, built in ((-1, default), *candidates.items()):
            if index != -1 and time.monotonic() > until:
                break
            blamed[0] = index
            kernel = LoadedKernel(remote, built, case, f"kernel{index}.so")
            if case.agrees(kernel.answer()):
                kernels[index] = kernel
                continue
            if index == -1:
                raise AssertionError("the default kernel differs from the referee")
            errors[index] = "differs from the referee"
        blamed[0] = -1
        number = kernels[-1].number()
        seconds: dict[int, list[np.ndarray]] = {index: [] for index in kernels}
        for _ in range(rounds):
            row = {index: np.zeros(len(self._threads)) for index in kernels}
            for column, threads in enumerate(self._threads):
                use_threads(1, threads)
                for index, kernel in kernels.items():
                    blamed[0] = index
                    row[index][column] = kernel.seconds(number)
            for index, figures in row.items():
                seconds[index].append(figures)
                # Such a candidate's time need not be known any better.
                if np.exp(np.log(figures / row[-1]).mean()) > HOPELESS:
                    del kernels[index]
            if time.monotonic() > until:
                break
        return {index: np.array(figures) for index, figures in seconds.items()}


def _outcome(seconds, default, error=""):
    if seconds is None:
        return Measured(error=error)
    return Measured(float(seconds[:, -1].min()), ratios(seconds, default))


def _line(error) -> str:
    lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()]
    return lines[-1][:200] if lines else type(error).__name__
