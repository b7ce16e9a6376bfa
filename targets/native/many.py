"""Many samples for one call: the streams of a session share their runs out, in C and outside of Python's lock, which
runs of some microseconds wait for otherwise."""

import ctypes
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..batches import (
    Arrays,
    Results,
    batch_of,
    feed_of,
    joined_outputs,
    meant,
    sample_shape,
    samples_of,
    takes_samples,
    takes_whole,
)
from ..errors import DataError
from .given_inputs import wrong_dtype
from .stream import addresses, aligned

if TYPE_CHECKING:
    from ..variant import TensorSpec
    from .stream import Stream


# The time in ns bounds how long a thread stays in C: a signal waits no longer for it, or for one run.
_SLICE = 50_000_000


class Runs:
    """The runs that some samples take. inputs, outputs: a session's signature; given: {input: array}, samples on the
    first axis. Raises DataError for arrays that the network does not take. `shared` and `one_by_one` each make what a
    thread does with its stream: all runs that no other one has taken, until none is left. `end` leaves none. `results`:
    what they gave."""

    def __init__(self, inputs: "Sequence[TensorSpec]", outputs: "Sequence[TensorSpec]", given: Arrays) -> None:
        self._inputs, self._outputs, self._batch = inputs, outputs, batch_of(inputs)
        arrays = {spec.name: np.asarray(given[spec.name]) for spec in inputs}
        self._samples = _count(inputs, arrays, self._batch)
        self.count = -(-self._samples // self._batch)
        self._given = [_of_runs(spec, arrays[spec.name], self._batch, self.count) for spec in inputs]
        self._results = [aligned((self.count, *spec.shape), spec.dtype) for spec in outputs]
        self._taken, self._order = ctypes.c_int64(0), itertools.count()

    def shared(self, share: Callable[..., None]) -> "Callable[[Stream], None]":
        """The work of a stream: it takes runs by way of `Library.share` until none is left."""
        arrays, specs = [*self._given, *self._results], (*self._inputs, *self._outputs)
        first, sizes = (
            (ctypes.c_void_p * len(arrays))(*addresses(arrays)),
            (ctypes.c_int64 * len(arrays))(*(spec.nbytes for spec in specs)),
        )

        def work(stream: "Stream") -> None:
            own = (ctypes.c_void_p * len(arrays))(*stream.places)
            while self._taken.value < self.count:
                share(stream.handle, self._taken, self.count, first, sizes, own, _SLICE)

        return work

    def one_by_one(self, infer: "Callable[[Stream], None]") -> "Callable[[Stream], None]":
        """The work of a stream: each run by way of infer(stream), which runs what was staged there, and looks at the
        answer."""

        def work(stream: "Stream") -> None:
            while (number := next(self._order)) < self.count and self._taken.value < self.count:
                stream.stage([block[number] for block in self._given])
                infer(stream)
                for block, value in zip(self._results, stream.results.values()):
                    block[number] = value

        return work

    def end(self) -> None:
        """Ends the work: no stream begins another run."""
        self._taken.value = self.count

    def results(self) -> Results:
        """{output: array}, samples on the first axis."""
        return {spec.name: self._of_samples(spec, block) for spec, block in zip(self._outputs, self._results)}

    def _of_samples(self, spec: "TensorSpec", block: np.ndarray) -> np.ndarray:
        if spec.counted is None and _in_place(spec, self._batch):
            return block if takes_whole(spec, self._batch) else block.reshape(-1, *spec.shape[1:])[: self._samples]
        names = [each.name for each in self._outputs]
        parts = [meant((spec,), dict(zip(names, values)))[spec.name] for values in zip(*self._results)]
        return joined_outputs(
            spec,
            [
                samples_of(spec, part, self._batch, min(self._batch, self._samples - run * self._batch))
                for run, part in enumerate(parts)
            ],
        )


def _count(inputs: "Sequence[TensorSpec]", arrays: Mapping[str, np.ndarray], batch: int) -> int:
    """How many samples the arrays hold."""
    for spec in inputs:
        array = arrays[spec.name]
        if not takes_samples(spec, batch, array.shape):
            wanted = ", ".join(["samples", *map(str, sample_shape(spec, batch))])
            raise DataError(
                f"run_many: input {spec.name} has shape {list(array.shape)}, the model takes [{wanted}]; reshape it, "
                "samples on the first axis"
            )
        if array.dtype != spec.dtype:
            raise wrong_dtype(spec, array)
    counts = {name: len(array) for name, array in arrays.items()}
    if len(set(counts.values())) != 1 or 0 in counts.values():
        raise DataError(
            f"run_many: {', '.join(f'{name} has {count}' for name, count in counts.items())} samples; give every "
            "input as many, at least one"
        )
    return next(iter(counts.values()))


def _in_place(spec: "TensorSpec", batch: int) -> bool:
    """Whether arrays of samples, one behind the other, are arrays of runs."""
    return batch == 1 if takes_whole(spec, batch) else spec.batch_axis == 0


def _of_runs(spec: "TensorSpec", array: np.ndarray, batch: int, runs: int) -> np.ndarray:
    """[runs, *shape]: what each run takes of one input. The last run is filled up with the last sample."""
    if len(array) != runs * batch:
        array = array[np.minimum(np.arange(runs * batch), len(array) - 1)]
    if _in_place(spec, batch):
        return np.ascontiguousarray(array).reshape(runs, *spec.shape)
    return np.stack(
        [feed_of((spec,), {spec.name: array}, slice(run * batch, (run + 1) * batch))[spec.name] for run in range(runs)]
    )
