"""Accuracy of designs on the user's validation data, as the search asks for it (passes/sensitivity/search.py)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..scores import Scoring


@dataclass
class MetricJudge:
    """Judges int8 by how much its metric is worse than fp32's.

    arrays: the validation inputs. scoring: what the metric compares outputs with. reference: {output: the metric} of
    fp32."""

    arrays: Mapping[str, Any]
    scoring: Scoring
    reference: Mapping[str, float]

    def drop(self, outputs: Mapping[str, np.ndarray]) -> float:
        """By how much the worst output's metric is worse than fp32's. outputs: {output: array} of all samples."""
        return self.scoring.drop(self.reference, self.scoring.scores(outputs))

    def losses(self, outputs: Mapping[str, np.ndarray]) -> np.ndarray | None:
        """0 or 1 per sample, right or wrong; None where the labels are no classes, or several per sample."""
        return self.scoring.losses(outputs)
