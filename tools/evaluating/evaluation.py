"""Accuracy of a session on labelled data."""

import numpy as np

from ...targets.errors import DataError, OctetError
from ...targets.runtime import Session, run_samples
from ...targets.samples import batch_of, sample_shape
from ..metrics import METRICS, Metric, own_metric


def find_metric(name: str) -> Metric:
    """A metric by its name, or the user's own as package.module:function. Raises OctetError for an unknown name."""
    if ":" in name:
        return own_metric(name)
    if name not in METRICS:
        raise OctetError(f"--metric {name}: unknown; take one of {', '.join(METRICS)}, or your own as package.module:function")
    return METRICS[name]


def check_labels(metric: Metric, labels, count: int, model, where) -> np.ndarray:
    """The labels, fit for the metric and the first output of a Model or Session. Raises DataError otherwise; before any sample has run."""
    if labels is None:
        raise DataError(f"{where}: holds no labels, {metric.name} needs them; add an array `labels` with one entry per sample")
    metric.check((count, *sample_shape(model.outputs[0], batch_of(model.inputs))), labels, where)
    return labels


def score(session: Session, arrays: dict, labels: np.ndarray, metric: Metric, progress=None) -> float:
    """The metric of the first output over all samples."""
    name = session.outputs[0].name
    return metric.score(run_samples(session, arrays, progress, only=name)[name], labels)
