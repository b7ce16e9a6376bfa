"""Where the samples of a batch lie in a tensor."""

from dataclasses import dataclass
from math import prod

import numpy as np


class Mixes(Exception):
    """An operator does not treat samples apart; the message says why."""


@dataclass(frozen=True)
class BatchAxis:
    """`axis` has extent batch * inner: entries [n * inner, (n + 1) * inner) belong to sample n."""

    axis: int
    inner: int = 1

    def extent(self, samples: int) -> int:
        """The axis's extent in a network for so many samples."""
        return samples * self.inner

    def shape(self, shape: tuple[int, ...], samples: int) -> tuple[int, ...]:
        """`shape` with `samples` samples on this axis."""
        return (*shape[: self.axis], self.extent(samples), *shape[self.axis + 1 :])

    def contiguous(self, shape: tuple[int, ...]) -> bool:
        """Whether a sample is one piece of a row-major tensor of `shape`."""
        return prod(shape[: self.axis]) == 1


def first_axis(shape: tuple[int, ...], batch: int) -> BatchAxis | None:
    """The outermost axis that is not 1, taken for a batch; None where it cannot be one."""
    for axis, extent in enumerate(shape):
        if extent != 1:
            return BatchAxis(axis, extent // batch) if extent % batch == 0 else None
    return None


def through_reshape(batch_axis: BatchAxis, old: tuple[int, ...], new: tuple[int, ...], batch: int) -> BatchAxis:
    """The axis of `new`, a reshape of `old`, that holds the samples: as many elements in front of it, and it starts
    with the batch."""
    outer, before = prod(old[: batch_axis.axis]), 1
    for axis, extent in enumerate(new):
        if before == outer and extent != 1:
            if extent % batch:
                break
            return BatchAxis(axis, extent // batch)
        before *= extent
    raise Mixes(f"a reshape of {list(old)} to {list(new)} splits samples")


def repeats(array: np.ndarray, batch_axis: BatchAxis, batch: int) -> bool:
    """Whether a constant holds the same for every sample."""
    parts = np.split(array, batch, batch_axis.axis)
    return all(np.array_equal(parts[0], part, equal_nan=array.dtype.kind == "f") for part in parts[1:])


def samples_of(array: np.ndarray, batch_axis: BatchAxis, samples: int) -> np.ndarray:
    """The first `samples` samples of a constant."""
    return np.ascontiguousarray(np.take(array, np.arange(batch_axis.extent(samples)), batch_axis.axis))
