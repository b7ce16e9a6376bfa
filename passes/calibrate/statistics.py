"""What is known of one tensor's values after any number of samples: constant memory, exact to merge.

The histogram is logarithmic-linear: a bin is the sign, the exponent and the first 9 bits of the fraction of a float32,
that is 512 equal bins between a power of two and the next, so a bin is never wider than 1/512 of a value in it. It
covers the 16 octaves below the largest magnitude seen (its window); everything smaller counts in the lowest bin. When a
larger value comes, the window moves up by whole octaves and what falls out at the bottom is merged into the lowest bin:
every value lies where it would have lain had the largest come first, so shards merge exactly and in any order. Range,
count, zeros and non-finite values are exact; the histogram counts the values that it is given, which may be a subset
(see collect.py).
"""

from dataclasses import dataclass, field

import numpy as np

OCTAVES = 16
FRACTION_BITS = 9
PER_OCTAVE = 1 << FRACTION_BITS
BINS = OCTAVES * PER_OCTAVE  # Each sign has so many bins.
SHIFT = 23 - FRACTION_BITS  # A bin ignores so many bits of the float32 fraction.


def window_top(magnitude: float) -> int:
    """The biased float32 exponent just above `magnitude`: the window that holds it ends at 2**(top - 127)."""
    return (int(np.float32(magnitude).view(np.int32)) >> 23) + 1


@dataclass
class Statistics:
    """The range and the histogram of one tensor's values.

    minimum, maximum: of the finite values (inf, -inf before the first). histogram: int64 [2, BINS], row 1 for
    negative values.
    top: the window's end (see `window_top`)."""

    count: int = 0
    zeros: int = 0
    nonfinite: int = 0
    minimum: float = np.inf
    maximum: float = -np.inf
    top: int = 1
    histogram: np.ndarray = field(default_factory=lambda: np.zeros((2, BINS), np.int64))

    def extend(self, count: int, zeros: int, nonfinite: int, minimum: float, maximum: float) -> None:
        """Takes in the summary of more values; moves the window up if they need it. To be called before their histogram
        is added."""
        self.count += int(count)
        self.zeros += int(zeros)
        self.nonfinite += int(nonfinite)
        if minimum <= maximum:
            self.minimum, self.maximum = min(self.minimum, float(minimum)), max(self.maximum, float(maximum))
            self._raise_to(window_top(max(abs(float(minimum)), abs(float(maximum)))))

    def add(self, values: np.ndarray) -> None:
        """Counts finite float32 values that `extend` has announced in the histogram."""
        values = np.ascontiguousarray(values, np.float32).reshape(-1)
        magnitude = values.view(np.int32) & 0x7FFFFFFF
        key = np.maximum((magnitude >> SHIFT) - self.base, 0) + np.where(values < 0, BINS, 0)  # -0.0 counts as 0.0.
        self.histogram += np.bincount(key, minlength=2 * BINS).reshape(2, BINS)

    def update(self, values: np.ndarray) -> None:
        """Takes in all values of an array: the plain reference for what a kernel does."""
        values = np.asarray(values, np.float32).reshape(-1)
        finite = values[np.isfinite(values)]
        low, high = (finite.min(), finite.max()) if finite.size else (np.inf, -np.inf)
        self.extend(values.size, int(np.count_nonzero(values == 0)), values.size - finite.size, low, high)
        self.add(finite)

    def merge(self, other: "Statistics") -> None:
        """Takes in the values that `other` has seen, as if this one had seen them too."""
        top = max(self.top, other.top)
        self._raise_to(top)
        shifted = other.histogram if other.top == top else _shift(other.histogram, top - other.top)
        self.histogram += shifted
        self.count += other.count
        self.zeros += other.zeros
        self.nonfinite += other.nonfinite
        self.minimum, self.maximum = min(self.minimum, other.minimum), max(self.maximum, other.maximum)

    @property
    def base(self) -> int:
        """The key of bin 0: float32 bits without their sign, shifted by SHIFT."""
        return (self.top - OCTAVES) * PER_OCTAVE

    @property
    def range(self) -> tuple[float, float]:
        """(minimum, maximum), (0, 0) if no finite value was seen."""
        return (self.minimum, self.maximum) if self.minimum <= self.maximum else (0.0, 0.0)

    def masses(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(low, high, count) of the bins that hold values, ascending; edges float64, cut to the exact range."""
        keys = np.clip(np.arange(BINS + 1) + self.base, 0, 0x7F800000 >> SHIFT).astype(np.int64)
        edges = (keys << SHIFT).astype(np.int32).view(np.float32).astype(np.float64)
        edges[0] = 0.0
        low = np.concatenate([-edges[:0:-1], edges[:-1]])
        high = np.concatenate([-edges[-2::-1], edges[1:]])
        count = np.concatenate([self.histogram[1, ::-1], self.histogram[0]])
        held = count > 0
        return np.clip(low[held], *self.range), np.clip(high[held], *self.range), count[held]

    def linear(self, low: float, high: float, bins: int) -> np.ndarray:
        """The histogram over `bins` equal bins of [low, high], float64: every bin's count spread evenly over its width.
        What lies outside counts in the first and the last bin."""
        below, above, count = self.masses()
        edges = np.linspace(low, high, bins + 1)
        points = np.concatenate([below[:1], above])
        summed = np.concatenate([[0.0], np.cumsum(count, dtype=np.float64)])
        if np.any(below[1:] > above[:-1]):  # The cumulative count is flat in gaps between bins.
            points = np.stack([below, above], 1).reshape(-1)
            summed = np.stack([summed[:-1], summed[1:]], 1).reshape(-1)
        cumulative = np.interp(edges, points, summed, left=0.0)
        cumulative[0], cumulative[-1] = 0.0, summed[-1]
        return np.diff(cumulative)

    def quantile(self, fraction: float, of_magnitude: bool = False) -> float:
        """The value (or magnitude) below which `fraction` of the counted values lie, to within a bin; exact at 0 and
        1."""
        if of_magnitude:
            return self._folded().quantile(fraction)
        below, above, count = self.masses()
        if not count.size:
            return 0.0
        summed = np.cumsum(count)
        wanted = fraction * summed[-1]
        if fraction <= 0:
            return float(self.range[0])
        if fraction >= 1:
            return float(self.range[1])
        i = int(np.searchsorted(summed, wanted))
        inside = (wanted - (summed[i] - count[i])) / count[i]
        return float(below[i] + (above[i] - below[i]) * inside)

    def _folded(self) -> "Statistics":
        low, high = self.range
        folded = Statistics(self.count, self.zeros, self.nonfinite, max(low, -high, 0.0), max(high, -low), self.top)
        folded.histogram[0] = self.histogram.sum(0)
        return folded

    def _raise_to(self, top: int) -> None:
        if top > self.top:
            self.histogram = _shift(self.histogram, top - self.top)
            self.top = top


def _shift(histogram: np.ndarray, octaves: int) -> np.ndarray:
    """The histogram with its window moved up by `octaves`."""
    out = min(octaves * PER_OCTAVE, BINS)
    shifted = np.zeros_like(histogram)
    shifted[:, : BINS - out] = histogram[:, out:]
    shifted[:, 0] += histogram[:, :out].sum(1)
    return shifted
