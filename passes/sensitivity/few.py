"""How many samples decide what a rough measurement can decide."""

from octet.targets.batches import batch_of

from ..frontend.model import Model
from ..multiply_adds import multiply_adds_of

FEW = 32  # A scout calibrates with so many samples, and judges by as many, where a run is short.
_LEAST = 8
_HANDFUL = 4  # One of many measurements goes by so many samples where a run is long.
_ALL_MULTIPLY_ADDS = 1e12  # Many measurements together take at most so many multiply-adds.
_MULTIPLY_ADDS_OF_RANGES = 4.5e11  # Ranges that are soon replaced come from samples of so many multiply-adds.
_MULTIPLY_ADDS = 1e11  # One measurement judges by samples that take at most so many multiply-adds in fp32.


def few_of(model: Model) -> int:
    """How many samples of a network are soon computed, FEW at most."""
    return _within(model, _MULTIPLY_ADDS)


def few_for_ranges(model: Model) -> int:
    """How many samples the ranges of a scout and the largest magnitudes of channels come from, FEW at most."""
    return _within(model, _MULTIPLY_ADDS_OF_RANGES)


def few_for(model: Model, measurements: int) -> int:
    """How many samples so many measurements soon compute, all together, at least a handful and FEW at most."""
    per_sample = multiply_adds_of(model.module) / batch_of(model.inputs)
    return int(min(few_of(model), max(_HANDFUL, _ALL_MULTIPLY_ADDS // max(per_sample * measurements, 1))))


def _within(model: Model, multiply_adds: float) -> int:
    per_sample = multiply_adds_of(model.module) / batch_of(model.inputs)
    return int(min(FEW, max(_LEAST, multiply_adds // max(per_sample, 1))))
