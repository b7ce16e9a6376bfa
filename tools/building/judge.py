"""Accuracy of designs on the user's validation data, as the search asks for it (passes/sensitivity/search.py)."""

from dataclasses import dataclass

import numpy as np

from ..metrics import Metric


@dataclass
class Judge:
    """arrays: the validation inputs. labels: what the metric compares with. output: name of the network's first output. reference: the metric of
    fp32."""

    arrays: dict
    labels: np.ndarray
    metric: Metric
    output: str
    reference: float

    def score(self, outputs: dict) -> float:
        return self.metric.score(outputs[self.output], self.labels)

    def drop(self, outputs: dict) -> float:
        return self.metric.drop(self.reference, self.score(outputs))

    def losses(self, outputs: dict):
        """0 or 1 per sample, right or wrong; None where the labels are no classes, or several per sample."""
        if not self.metric.classes or self.labels.size != len(self.labels):
            return None
        found = outputs[self.output].reshape(len(self.labels), -1)
        wrong = np.isnan(found).any(axis=1)  # argmax takes a NaN for the largest
        found = found[:, 0] if found.shape[1] == 1 else found.argmax(1)
        return (wrong | (found != self.labels.reshape(-1))).astype(np.int8)
