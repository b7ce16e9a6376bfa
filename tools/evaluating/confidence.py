"""What samples that nothing was chosen by promise of new ones drawn alike: exact for every number of samples, whatever
their distribution.

Of n samples k give the answer of fp32: with confidence 95 % at least p of 100 new ones do, where p is the least share
that would give k or more of n in 5 % of all cases (Clopper and Pearson's limit, Biometrika 26, 1934). The largest error
among n samples is exceeded by at most 1 - p of new ones, with k = n (Wilks' tolerance limit)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import comb, fsum

import numpy as np

CONFIDENCE = 0.95
_HALVINGS = 60


def at_least(successes: int, count: int, confidence: float = CONFIDENCE) -> float:
    """The lower limit of a share of which `successes` of `count` independent samples are seen."""
    low, high = 0.0, 1.0
    if successes == 0:
        return low
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        tail = fsum(comb(count, k) * middle**k * (1 - middle) ** (count - k) for k in range(successes, count + 1))
        low, high = (middle, high) if tail <= 1 - confidence else (low, middle)
    return low


@dataclass
class Samples:
    """Sample by sample, in order. error: {output: squared differences, sums}; square: {output: fp32's}; same: {output
    of one score per class: whether the largest is the same}.
    What is not finite where fp32 is has an infinite error and is no answer."""

    error: dict[str, list[float]] = field(default_factory=dict)
    square: dict[str, list[float]] = field(default_factory=dict)
    same: dict[str, list[bool]] = field(default_factory=dict)

    def add(
        self, names, exact: Mapping[str, np.ndarray], int8: Mapping[str, np.ndarray], kept: Mapping[str, np.ndarray]
    ) -> None:
        """Takes in the errors and decisions of more samples.

        names: of the outputs to look at. Samples lie on first axes; places that are not `kept`, or not finite in
        fp32, do not count."""
        for name in names:
            reference, value = exact[name], int8[name]
            counts = np.isfinite(reference) & kept.get(name, True)
            axes = tuple(range(1, reference.ndim))
            with np.errstate(invalid="ignore"):
                difference = np.where(counts, value.astype(np.float64) - reference, 0.0)
            difference[~np.isfinite(difference)] = np.inf
            square = np.where(counts, reference, 0.0).astype(np.float64) ** 2
            self.error.setdefault(name, []).extend(np.sum(difference**2, axis=axes))
            self.square.setdefault(name, []).extend(np.sum(square, axis=axes))
            if reference.ndim == 2 and reference.shape[1] > 1:
                self.same.setdefault(name, []).extend(
                    (np.argmax(reference, axis=1) == np.argmax(value, axis=1))
                    & np.isfinite(difference).all(axis=1)
                    & ~np.isnan(reference).any(axis=1)
                )

    def worst(self, first: int) -> float | None:
        """The relative squared error of the worst output over the first samples; None where no output is anything but
        zero."""
        sums = [(sum(self.error[name][:first]), sum(self.square[name][:first])) for name in self.error]
        return max((error / square for error, square in sums if square > 0), default=None)

    def promise(self, seen: int) -> dict | None:
        """What these samples promise of new ones.

        {"confidence", "samples", "output": of the largest relative error, "error": it, "share": of new samples in
        which it is at most that, "same": {output: {"equal", "share"}}}, from all but the first `seen` samples, by which
        something may have been chosen; None where no sample is left."""
        errors = {
            name: np.sqrt(np.divide(error, square))
            for name in self.error
            for error, square in [(self.error[name][seen:], self.square[name][seen:])]
            if len(error) and min(square) > 0
        }
        if not errors:
            return None
        output = max(errors, key=lambda name: errors[name].max())
        count = len(errors[output])
        # An output that is zero has no largest element, so it is left out.
        equal = {name: int(sum(same[seen:])) for name, same in self.same.items() if any(self.square[name][seen:])}
        same = {name: {"equal": number, "share": at_least(number, count)} for name, number in equal.items()}
        return {
            "confidence": CONFIDENCE,
            "samples": count,
            "output": output,
            "error": float(errors[output].max()),
            "share": at_least(count, count),
            "same": same,
        }
