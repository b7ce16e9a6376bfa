"""Times kernels against each other in interleaved rounds, so that a device that slows down slows all; each is checked
against the referee first."""

from collections.abc import Callable, Collection
from typing import Any

import numpy as np

from ..errors import OctetError
from ..kinds.backends import BACKENDS
from .batch import Batch, Figures

HOPELESS = 1.4  # A candidate that takes so many times the default's time in one round is not measured again.
REPEAT_SECONDS = 0.001  # A repetition is long against a timer and short against a time slice of the operating system.
MOST_CALLS = 2000
GROUP = 3  # Three rounds give one ratio, of the fastest to the fastest.


def measure(batch: Batch, skip: Collection[int], say: Callable[[int], None]) -> Figures:
    """Measures a batch's candidates in rounds. skip: candidates to leave out. say(candidate): called before anything is
    done with it. Raises whatever a kernel or a driver raises."""
    backend = BACKENDS[batch.kind]
    device = backend.measuring_device(max(batch.threads))
    kernels, errors = {}, {}
    for index, candidate in enumerate(batch.task.candidates):
        if index in skip:
            continue
        say(index)
        kernel = None
        try:
            kernel = device.load(batch.task, candidate, batch.blobs)
            right = batch.task.output.agrees(kernel.answer())
        except OctetError as error:
            # A refusal need not concern the other candidates; after a fault nothing runs in this process any more.
            if index == 0 or not device.usable():
                raise
            errors[index] = str(error)
            if kernel is not None:
                kernel.close()
            continue
        if right:
            kernels[index] = kernel
        elif index == 0:
            raise ValueError("the default kernel differs from the referee")
        else:
            errors[index] = "differs from the referee"
            kernel.close()
    say(0)
    number = calls(kernels[0])
    seconds: dict[int, list[np.ndarray]] = {index: [] for index in kernels}
    for _ in range(batch.rounds):
        row = {index: np.zeros(len(batch.threads)) for index in kernels}
        for column, threads in enumerate(batch.threads):
            device.use_threads(threads)
            for index, kernel in kernels.items():
                say(index)
                # The fastest counts: whatever interrupts a kernel only slows it down.
                row[index][column] = min(kernel.seconds(number) for _ in range(backend.repeats))
        for index, figures in row.items():
            seconds[index].append(figures)
            if index and np.exp(np.log(figures / row[0]).mean()) > HOPELESS:
                kernels.pop(index).close()
    return Figures({index: np.array(rows) for index, rows in seconds.items()}, errors, device.about)


def calls(kernel: Any) -> int:
    """How many calls of a kernel fill a repetition."""
    kernel.seconds(1)
    return max(1, min(MOST_CALLS, int(REPEAT_SECONDS / max(kernel.seconds(2), 1e-7))))


def ratios(seconds: np.ndarray, default: np.ndarray) -> np.ndarray:
    """Time over the default's, a figure per group of rounds, the geometric mean over the numbers of cores. seconds,
    default: [rounds, numbers of cores]."""
    groups = max(1, len(seconds) // GROUP)
    fastest = [
        (seconds[group::groups].min(axis=0), default[: len(seconds)][group::groups].min(axis=0))
        for group in range(groups)
    ]
    return np.array([np.exp(np.log(mine / other).mean()) for mine, other in fastest])
