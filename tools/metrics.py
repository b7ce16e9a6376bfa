"""Accuracy metrics. Every metric takes the network's first output and a reference, both with samples on the first axis, and gives one float.

An output that is not finite where the reference is scores worst: a NaN compares as false with everything and would pass every gate. Where the reference
itself is not finite (the -inf of a mask) there is nothing to compare, and the place does not count."""

import importlib
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..targets.errors import DataError, OctetError


_MOST_DB = 200.0
_NO_CLASS = np.iinfo(np.int64).min  # what a decision with a NaN found: no label is it
IGNORED = -100  # a label that does not count (PyTorch's ignore_index): padding of sequences, borders of regions


def class_axis(output_shape, labels_shape) -> int | None:
    """The axis of the output that the labels lack, where there is one label per place (token, pixel) and not per sample: the last one of rank 3, else
    axis 1, else any; None if there is none."""
    fitting = [axis for axis in range(1, len(output_shape)) if tuple(output_shape[:axis]) + tuple(output_shape[axis + 1 :]) == tuple(labels_shape)]
    preferred = len(output_shape) - 1 if len(output_shape) == 3 else 1
    return (preferred if preferred in fitting else fitting[0]) if fitting else None


def _differences(output, reference):
    """(difference, reference) as float64, both 0 where the reference is not finite; the difference is infinite where only the output is not."""
    exact = reference.astype(np.float64)
    counted = np.isfinite(exact)
    value = np.where(counted, output.astype(np.float64), 0.0)
    exact = np.where(counted, exact, 0.0)
    return np.where(np.isfinite(value), value - exact, np.inf), exact


def _decisions(output, labels):
    """(scores [M, classes], labels [M]) of M decisions: one per sample, or one per place of every sample; one column means class indices."""
    if labels.size == len(output):
        return output.reshape(len(output), -1), labels.reshape(-1)
    axis = class_axis(output.shape, labels.shape)
    scores = output.reshape(-1, 1) if axis is None else np.moveaxis(output, axis, -1).reshape(-1, output.shape[axis])
    counted = labels.reshape(-1) != IGNORED
    return scores[counted], labels.reshape(-1)[counted]


def _top(k):
    def score(output: np.ndarray, labels: np.ndarray) -> float:
        """Fraction of decisions whose label is among the k largest scores; an output that already is a class index is compared as it is."""
        output, labels = _decisions(output, labels)
        if output.shape[1] == 1:
            return float((output[:, 0] == labels).mean())
        k_best = min(k, output.shape[1])
        best = np.argsort(-output, axis=1, kind="stable")[:, :k_best]
        return float(((best == labels[:, None]).any(axis=1) & ~_undecided(output)).mean())

    return score


def _undecided(scores):
    """Which decisions have a score that is NaN: whatever their largest one is, it is no answer."""
    return np.isnan(scores).any(axis=1) if np.issubdtype(scores.dtype, np.floating) else np.zeros(len(scores), bool)


def _mse(output, reference):
    """Mean squared error over all elements; infinite where an output is not finite."""
    difference, _ = _differences(output, reference)
    return float(np.mean(difference**2))


def _cosine(output, reference):
    """Mean over the samples of the cosine between output and reference; two zero vectors count as equal. -1 for a sample that is not finite."""
    difference, exact = (x.reshape(len(x), -1) for x in _differences(output, reference))
    broken = ~np.isfinite(difference).all(axis=1)
    a, b = exact + np.where(broken[:, None], 0.0, difference), exact
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    dots = (a * b).sum(axis=1)
    same = ~a.any(axis=1) & ~b.any(axis=1)
    cosines = np.where(same, 1.0, np.divide(dots, norms, out=np.zeros_like(dots), where=norms > 0))
    return float(np.mean(np.where(broken, -1.0, cosines)))


def _sqnr(output, reference):
    """Signal to quantisation noise in dB: the reference's energy over that of the difference, from -200 (also for an output that is not finite) to 200."""
    difference, exact = _differences(output, reference)
    noise, signal = np.sum(difference**2), np.sum(exact**2)
    if not np.isfinite(noise):
        return -_MOST_DB
    return float(np.clip(10 * np.log10(max(signal, 1e-30) / noise), -_MOST_DB, _MOST_DB)) if noise > 0 else _MOST_DB


def _f1(output, labels):
    """F1 averaged over the classes that occur (macro); a network with one output per sample answers with its rounded value."""
    output, labels = _decisions(output, labels)
    undecided = _undecided(output)
    found = np.rint(np.where(undecided, 0, output[:, 0])).astype(np.int64) if output.shape[1] == 1 else output.argmax(1)
    found = np.where(undecided, _NO_CLASS, found)
    scores = []
    for label in np.unique(np.concatenate([labels, found])):
        hits = np.count_nonzero((found == label) & (labels == label))
        scores.append(2 * hits / (np.count_nonzero(found == label) + np.count_nonzero(labels == label)))
    return float(np.mean(scores))


def own_metric(name: str) -> "Metric":
    """The metric of "package.module:function": function(outputs, labels) -> float, larger is better. The current folder is searched first.
    Raises OctetError if there is no such function."""
    module, _, function = name.partition(":")
    folder = os.getcwd()
    sys.path.insert(0, folder)
    try:
        found = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise OctetError(f"--metric {name}: {error}; name a function as package.module:function, importable from {folder}") from None
    finally:
        sys.path.remove(folder)
    if not callable(found):
        raise OctetError(f"--metric {name}: is no function; it is called with (outputs, labels) and returns a number")
    return Metric(name, lambda output, labels: float(found(output, labels)), classes=None, larger_is_better=True)


@dataclass(frozen=True)
class Metric:
    """name: as on the command line. score: (output, reference) -> float. classes: the reference holds one class per sample or per place of it, else an
    array of the output's shape; None: whatever the metric itself understands. larger_is_better: the direction of an improvement. decibels: of an energy ratio."""

    name: str
    score: Callable[[np.ndarray, np.ndarray], float]
    classes: bool | None
    larger_is_better: bool
    decibels: bool = False

    def drop(self, reference: float, value: float) -> float:
        """By how much `value` is worse than `reference`, as a fraction of `reference` (absolute where that is 0); negative when better, infinite where `value`
        is NaN or infinitely bad. Decibels are no quantity to take a fraction of: of sqnr it is what the relative error (root of the mean square) grows by. Raises OctetError where fp32 itself has no score."""
        if not np.isfinite(reference):
            raise OctetError(f"--metric {self.name}: fp32 itself scores {reference:g} on these data, there is nothing to compare with; check the data and the metric")
        if not np.isfinite(value):
            return float("inf")
        if self.decibels:
            return 10 ** (-value / 20) - 10 ** (-reference / 20)
        worse = reference - value if self.larger_is_better else value - reference
        return worse / abs(reference) if reference != 0 else worse

    def check(self, output_shape, labels: np.ndarray, where) -> None:
        """Raises DataError when the labels cannot belong to outputs of that shape ([N, ...])."""
        if self.classes is None:
            return
        if self.classes:
            per_place = labels.size != output_shape[0]
            axis = class_axis(output_shape, labels.shape) if per_place else None
            if (per_place and axis is None and labels.shape != tuple(output_shape)) or not np.issubdtype(labels.dtype, np.integer):
                raise DataError(f"{where}: labels are {labels.dtype} {list(labels.shape)}, {self.name} needs {output_shape[0]} integers, one class per sample, or one per place "
                                f"of the output {list(output_shape)}")  # fmt: skip
            classes = (1 if axis is None else int(output_shape[axis])) if per_place else int(np.prod(output_shape[1:]))
            counted = labels[labels != IGNORED] if per_place else labels
            if not counted.size:
                raise DataError(f"{where}: all labels are {IGNORED}, which is ignored; give classes")
            if classes > 1 and (counted.min() < 0 or counted.max() >= classes):
                raise DataError(f"{where}: labels go from {counted.min()} to {counted.max()}, the model has {classes} classes (0 to {classes - 1}); check that model and data belong together")
        elif labels.shape != tuple(output_shape):
            raise DataError(f"{where}: labels have shape {list(labels.shape)}, {self.name} needs the output's shape {list(output_shape)}")


METRICS = {
    metric.name: metric
    for metric in (
        Metric("top1", _top(1), classes=True, larger_is_better=True),
        Metric("top5", _top(5), classes=True, larger_is_better=True),
        Metric("f1", _f1, classes=True, larger_is_better=True),
        Metric("sqnr", _sqnr, classes=False, larger_is_better=True, decibels=True),
        Metric("mse", _mse, classes=False, larger_is_better=False),
        Metric("cosine", _cosine, classes=False, larger_is_better=True),
    )
}
