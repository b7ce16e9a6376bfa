"""What a search asks about accuracy: Judge."""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np


class Judge(Protocol):
    """Accuracy on validation data. `drop`: relative loss of given outputs against fp32; `arrays`: the validation
    inputs; `losses`: per-sample losses for paired comparisons, or None where the metric has none."""

    arrays: Mapping[str, Any]

    def drop(self, outputs: Mapping[str, np.ndarray]) -> float:
        """The relative loss of accuracy against fp32 for {output: array of all validation samples}; negative where they
        are better."""

    def losses(self, outputs: Mapping[str, np.ndarray]) -> np.ndarray | None:
        """One float per validation sample, to be compared with those of other outputs; None where the metric is of all
        samples only."""
