"""How many samples decide what a rough measurement can decide."""

from octet.targets.batches import batch_of

from ..frontend.model import Model
from ..multiply_adds import multiply_adds_of

FEW = 32  # samples that a scout calibrates with, and judges by where a run is short
_LEAST = 8
_MULTIPLY_ADDS = 1e11  # that all it judges by may come to in fp32: a second or two on one core


def few_of(model: Model) -> int:
    """As many as are soon computed, FEW at most."""
    per_sample = multiply_adds_of(model.module) / batch_of(model.inputs)
    return int(min(FEW, max(_LEAST, _MULTIPLY_ADDS // max(per_sample, 1))))
