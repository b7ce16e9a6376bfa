"""Takes in the summaries that `octet.statistics` makes of every tensor in every run, for all tensors together.

A value of a choice stands for as many as it was chosen from, and the extremes of a run, which are known whether or not
they were chosen, for one each:
the outliers of a transformer, two values in 98,304, are in most runs of no choice of 1,024, and ranges without them
clip what matters most.

Runs are kept in a small buffer and taken in some at a time: first all ranges (a histogram's window must know them),
then all histograms, in one compiled loop. So a run of a small network costs some microseconds here and none of the
memory grows with the number of samples."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np
import tvm

from octet.targets import detect
from octet.targets.x86.elementwise.histogram import histogram
from octet.targets.x86.elementwise.summary import HEADER, MAXIMUM, MINIMUM, NONFINITE, SUMMARY, ZEROS

from ...targets.native.stream import addresses, aligned
from .statistics import BINS, SHIFT, Statistics

ROWS, _BYTES = 64, 1 << 21  # At most so many runs are taken in together, in at most so many bytes.
SLOTS = 2 * BINS + 16  # Behind the bins are 16 slots in which zeros are counted (`histogram`).
_MAX_COUNT = 1 << 30  # An int32 slot counts no further before it is added to the int64 statistics.


class NonFinite(Exception):
    """A tensor became NaN or infinite during calibration.

    tensor: position in the accumulator. run: the first one in which it was NaN or infinite, counted from the first
    `add`."""

    def __init__(self, tensor: int, run: int) -> None:
        super().__init__(f"tensor {tensor} is not finite in run {run}")
        self.tensor, self.run = tensor, run


@cache
def _kernel() -> Callable[..., None]:
    target = detect.native().tvm_target()
    return tvm.compile(histogram(BINS, SHIFT, SLOTS), target=target)["histogram"]


def _tensor(array: np.ndarray) -> tvm.runtime.Tensor:
    return tvm.runtime.tensor(array)


def _shared(array: np.ndarray) -> tvm.runtime.Tensor:
    return tvm.runtime.from_dlpack(array)


class Accumulator:
    """The statistics of all observed tensors, taken in run by run.

    elements: of every tensor, samples: of every tensor's summary, both in the order in which `add` gets them.
    starts, width: where the summaries begin in an executor's row, and its length, for `add_from`; without them they lie
    behind each other."""

    def __init__(
        self, elements: list[int], samples: list[int], starts: list[int] | None = None, width: int = 0
    ) -> None:
        self.statistics = [Statistics() for _ in elements]
        self._elements = elements
        sizes = np.array(samples, np.int64)
        self._chosen = np.array(elements, np.int64) >= sizes + 2  # Not every value of these tensors is counted.
        self._weights = np.where(self._chosen, (np.array(elements, np.int64) - 2) // sizes, 1)
        if starts is None:
            begins, width = np.cumsum(sizes + HEADER) - sizes - HEADER, int(np.sum(sizes + HEADER))
        else:
            begins = np.array(starts, np.int64)
        self.rows = int(np.clip(_BYTES // (4 * max(width, 1)), 4, ROWS))
        self._summary = begins[:, None] + SUMMARY + np.arange(4)
        self._first, self._size = _tensor(begins + HEADER), _tensor(sizes)
        self._buffer = aligned((self.rows, width), np.float32)
        self._rows = _shared(self._buffer)
        self._row: tuple[int, ...] | None = None  # Where each row begins is known once a run writes there.
        self._counts = tvm.runtime.tensor(np.zeros((len(elements), SLOTS), np.int32))
        self._counted = np.from_dlpack(self._counts)
        self._low, self._high = np.full(len(elements), np.inf, np.float32), np.full(len(elements), -np.inf, np.float32)
        self._zeros, self._tops = np.zeros(len(elements), np.int64), np.ones(len(elements), np.int32)
        self._base = tvm.runtime.tensor(np.full(len(elements), self.statistics[0].base if elements else 0, np.int32))
        self._bases = np.from_dlpack(self._base)
        self._pending = self._runs = self._unfolded = 0

    def add(self, summaries: list[np.ndarray]) -> None:
        """One run's summaries. Raises NonFinite, at the latest in the `rows`-th call after it happened, or in
        `finish`."""
        np.concatenate(summaries, out=self._buffer[self._pending])
        self._pending += 1
        if self._pending == self.rows:
            self._flush()

    def add_from(self, run: Any, feed: Mapping[Any, Any]) -> None:
        """Adds a run that writes its summaries into this object's memory by itself: run.into(feed, row)."""
        if self._row is None:
            self._row = addresses(self._buffer)
        run.into(feed, self._row[self._pending])
        self._pending += 1
        if self._pending == self.rows:
            self._flush()

    def finish(self) -> list[Statistics]:
        """The statistics of all tensors, in their order, once every run was added."""
        self._flush()
        for tensor, statistics in enumerate(self.statistics):
            self._fold(tensor)
            if self._runs:
                statistics.extend(
                    self._runs * self._elements[tensor], self._zeros[tensor], 0, self._low[tensor], self._high[tensor]
                )
        return self.statistics

    def _flush(self) -> None:
        if not self._pending:
            return
        rows = self._buffer[: self._pending]
        summary = rows[:, self._summary]
        bad = np.isnan(summary[:, :, NONFINITE])
        if bad.any():
            run, tensor = np.argwhere(bad)[0]
            raise NonFinite(int(tensor), self._runs + int(run))
        self._extend(summary[:, :, MINIMUM].min(0), summary[:, :, MAXIMUM].max(0))
        self._add_extremes(summary[:, :, [MINIMUM, MAXIMUM]])
        self._zeros += summary[:, :, ZEROS].sum(0, dtype=np.float64).astype(np.int64)
        _kernel()(
            self._rows if len(rows) == self.rows else _tensor(rows), self._first, self._size, self._base, self._counts
        )
        self._runs += len(rows)
        self._pending = 0
        self._unfolded += len(rows) * max(self._elements)
        if self._unfolded > _MAX_COUNT:
            for tensor in range(len(self.statistics)):
                self._fold(tensor)
            self._unfolded = 0

    def _extend(self, low: np.ndarray, high: np.ndarray) -> None:
        """Takes in the ranges of all tensors; only where a window moves is there anything to do for a single one."""
        np.minimum(self._low, low, out=self._low)
        np.maximum(self._high, high, out=self._high)
        largest = np.maximum(np.abs(self._low), np.abs(self._high))
        tops = (largest.view(np.int32) >> 23) + 1  # All tensors get their `window_top` at once.
        for tensor in np.flatnonzero(tops > self._tops):
            self._fold(tensor)
            statistics = self.statistics[tensor]
            statistics.extend(0, 0, 0, self._low[tensor], self._high[tensor])
            self._tops[tensor], self._bases[tensor] = statistics.top, statistics.base

    def _add_extremes(self, extremes: np.ndarray) -> None:
        """[runs, tensors, 2]; where every value is counted they are as well."""
        for tensor in np.flatnonzero(self._chosen):
            self.statistics[tensor].add(extremes[:, tensor])

    def _fold(self, tensor: int | np.int64) -> None:
        """Moves the counts of a tensor into its statistics."""
        counts = self._counted[tensor]
        statistics, weight = self.statistics[tensor], self._weights[tensor]
        statistics.histogram += weight * counts[: 2 * BINS].reshape(2, BINS)
        statistics.histogram[0, max(-statistics.base, 0)] += weight * counts[2 * BINS :].sum()
        counts[:] = 0
