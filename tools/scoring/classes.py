"""Answers that are classes, of samples or of places of them."""

import numpy as np

from .places import decisions

_NO_CLASS = np.iinfo(np.int64).min  # A decision with a NaN finds this class, which no label is.


def top(k: int):
    """The score of single decisions among classes."""

    def score(output: np.ndarray, labels: np.ndarray) -> float:
        """Fraction of decisions whose label is among the k largest scores; an output that already is a class index is
        compared as it is."""
        output, labels = decisions(output, labels)
        if output.shape[1] == 1:
            return float((output[:, 0] == labels).mean())
        k_best = min(k, output.shape[1])
        best = np.argsort(-output, axis=1, kind="stable")[:, :k_best]
        return float(((best == labels[:, None]).any(axis=1) & ~_undecided(output)).mean())

    return score


def _undecided(scores):
    """Which decisions have a score that is NaN: whatever their largest one is, it is no answer."""
    return np.isnan(scores).any(axis=1) if np.issubdtype(scores.dtype, np.floating) else np.zeros(len(scores), bool)


def f1(output, labels):
    """F1 averaged over the classes that occur (macro); a network with one output per sample answers with its rounded
    value."""
    output, labels = decisions(output, labels)
    undecided = _undecided(output)
    answers = (
        np.rint(np.where(undecided, 0, output[:, 0])).astype(np.int64) if output.shape[1] == 1 else output.argmax(1)
    )
    answers = np.where(undecided, _NO_CLASS, answers)
    scores = []
    for label in np.unique(np.concatenate([labels, answers])):
        hits = np.count_nonzero((answers == label) & (labels == label))
        scores.append(2 * hits / (np.count_nonzero(answers == label) + np.count_nonzero(labels == label)))
    return float(np.mean(scores))
