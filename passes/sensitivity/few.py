"""How many samples decide what a rough measurement can decide."""

from octet.targets.batches import batch_of

from ..frontend.model import Model
from ..multiply_adds import multiply_adds_of

FEW = 32  # A scout calibrates with so many samples, and judges by as many, where a run is short.
_LEAST, _LEAST_OF_RANGES = 8, 16
_HANDFUL = 4  # One of many measurements goes by so many samples where a run is long.
_ALL_MULTIPLY_ADDS = 1e12  # Many measurements together take at most so many multiply-adds.
_MULTIPLY_ADDS_OF_RANGES = 2e11  # Ranges that are soon replaced come from samples of so many multiply-adds.
_MULTIPLY_ADDS_OF_BIASES = 1.5e9  # Every design learns biases of its own, in some runs of each sample.
_MULTIPLY_ADDS = 1e11  # One measurement judges by samples that take at most so many multiply-adds in fp32.


def few_of(model: Model) -> int:
    """How many samples of a network are soon computed, FEW at most."""
    return _within(model, _MULTIPLY_ADDS)


def few_for_ranges(model: Model) -> int:
    """How many samples the ranges of a scout and the largest magnitudes of channels come from, FEW at most."""
    return _within(model, _MULTIPLY_ADDS_OF_RANGES, least=_LEAST_OF_RANGES)


def few_for(model: Model, measurements: int) -> int:
    """How many samples so many measurements soon compute, all together, at least a handful and FEW at most."""
    return int(min(few_of(model), max(_HANDFUL, _ALL_MULTIPLY_ADDS // max(_per_sample(model) * measurements, 1))))


def soon_learnt(model: Model) -> bool:
    """Whether a run is so short that every design can learn biases of its own unasked."""
    return _per_sample(model) <= _MULTIPLY_ADDS_OF_BIASES


def _within(model: Model, multiply_adds: float, least: int = _LEAST) -> int:
    return int(min(FEW, max(least, multiply_adds // max(_per_sample(model), 1))))


def _per_sample(model: Model) -> float:
    return multiply_adds_of(model.module) / batch_of(model.inputs)
