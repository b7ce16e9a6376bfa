"""The metrics by name, and a user's own.

Every metric takes an output of the network and a reference, both with samples on the first axis, and gives one float;
or all outputs and all that the data file holds. What they compute is in scoring/."""

import importlib
import inspect
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from ..targets.errors import DataError, OctetError
from .scoring import masks, precision, sequences, vectors
from .scoring.classes import f1, top
from .scoring.distances import MOST_DB, cosine, mse, sqnr
from .scoring.places import IGNORED, class_axis


@dataclass(frozen=True)
class Metric:
    """A measure of how well outputs agree with what they should be.

    name: as on the command line. score: (output, reference) -> float. classes: the reference holds one class per
    sample or per place of it, else an array of the output's shape; None: whatever the metric itself understands.
    larger_is_better: the direction of an improvement. decibels: of an energy ratio.
    decided: fp32's output -> a reference, where there are no labels; None where they are needed. unfit: (shape of the
    output, reference) -> what is wrong with it.
    percent: whether it is a part of a whole, for people.

    whole: score takes ({output: array}, {name: array of the data file}), all outputs together; then decided gives such
    arrays from fp32's outputs, needs names those that it cannot do without, and fits(data, samples, where) raises
    DataError where they are wrong."""

    name: str
    score: Callable
    classes: bool | None
    larger_is_better: bool
    decibels: bool = False
    decided: Callable | None = None
    unfit: Callable | None = None
    percent: bool = False
    whole: bool = False
    needs: tuple[str, ...] = ()
    fits: Callable | None = None

    def shown(self, value: float, digits: int = 2) -> str:
        """For people; digits: behind the point of a percentage."""
        return f"{value:.{digits}%}" if self.percent else f"{value:.6g}"

    def drop(self, reference: float, value: float) -> float:
        """By how much `value` is worse than `reference`, as a fraction of `reference` (absolute where that is 0);
        negative when better, infinite where `value` is NaN or infinitely bad. Decibels are no quantity to take a
        fraction of: of sqnr it is what the relative error (root of the mean square) grows by. Raises OctetError where
        fp32 itself has no score."""
        if not np.isfinite(reference):
            raise OctetError(
                f"--metric {self.name}: fp32 itself scores {reference:g} on these data, there is nothing to compare "
                "with; check the data and the metric"
            )
        if not np.isfinite(value) or (self.decibels and value <= -MOST_DB):
            return float("inf")
        if self.decibels:
            return 10 ** (-value / 20) - 10 ** (-reference / 20)
        worse = reference - value if self.larger_is_better else value - reference
        return worse / abs(reference) if reference != 0 else worse

    def check(self, output_shape, labels: np.ndarray, where) -> None:
        """Raises DataError when the labels cannot belong to outputs of that shape ([N, ...])."""
        wrong = self.unfit(tuple(output_shape), labels) if self.unfit is not None else None
        if wrong is not None:
            raise DataError(f"{where}: labels are {labels.dtype} {list(labels.shape)}, {wrong}")
        if self.classes is None:
            return
        if self.classes:
            per_place = labels.size != output_shape[0]
            axis = class_axis(output_shape, labels.shape) if per_place else None
            if (per_place and axis is None and labels.shape != tuple(output_shape)) or not np.issubdtype(
                labels.dtype, np.integer
            ):
                raise DataError(
                    f"{where}: labels are {labels.dtype} {list(labels.shape)}, {self.name} needs {output_shape[0]} "
                    "integers, one class per sample, or one per place "
                    f"of the output {list(output_shape)}"
                )
            classes = (1 if axis is None else int(output_shape[axis])) if per_place else int(np.prod(output_shape[1:]))
            counted = labels[labels != IGNORED] if per_place else labels
            if not counted.size:
                raise DataError(f"{where}: all labels are {IGNORED}, which is ignored; give classes")
            if classes > 1 and (counted.min() < 0 or counted.max() >= classes):
                raise DataError(
                    f"{where}: labels go from {counted.min()} to {counted.max()}, the model has {classes} classes (0 "
                    f"to {classes - 1}); check that model and data belong together"
                )
        elif labels.shape != tuple(output_shape):
            raise DataError(
                f"{where}: labels have shape {list(labels.shape)}, {self.name} needs the output's shape "
                f"{list(output_shape)}"
            )

    def missing(self, data) -> bool:
        """Whether a metric of all outputs lacks what it compares with."""
        return any(name not in data for name in self.needs)

    def check_data(self, data, count: int, where) -> None:
        """Raises DataError when `data` do not fit a metric of all outputs."""
        if self.fits is not None:
            self.fits(data, count, where)


def own_metric(name: str) -> "Metric":
    """The metric of "package.module:function", larger is better: function(output, labels) -> float, of one output; or
    function(outputs, data) -> float if its second parameter is called `data`: outputs {name: array} of the network,
    data {name: array} of all that the data file holds beside the inputs. Samples are on first axes. The current folder
    is searched first. Raises OctetError if there is no such function."""
    module, _, function = name.partition(":")
    folder = os.getcwd()
    sys.path.insert(0, folder)
    try:
        found = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise OctetError(
            f"--metric {name}: {error}; name a function as package.module:function, importable from {folder}"
        ) from None
    finally:
        sys.path.remove(folder)
    if not callable(found):
        raise OctetError(
            f"--metric {name}: is no function; it is called with (output, labels), or (outputs, data), and returns a "
            "number"
        )
    return Metric(
        name,
        lambda output, given: float(found(output, given)),
        classes=None,
        larger_is_better=True,
        whole=_takes_data(found),
    )


def _takes_data(function) -> bool:
    try:
        names = list(inspect.signature(function).parameters)
    except (TypeError, ValueError):  # A built-in function may have no signature.
        return False
    return len(names) > 1 and names[1] == "data"


def _itself(output):
    """fp32's own output, in place of labels."""
    return output


def _iou(name="iou", threshold=masks.THRESHOLD):
    return Metric(
        name,
        partial(masks.iou, threshold=threshold),
        classes=None,
        larger_is_better=True,
        decided=partial(masks.masks_of, threshold=threshold),
        unfit=masks.unfit,
        percent=True,
    )


def _map(name="map", overlap=None):
    score = (
        precision.mean_average_precision
        if overlap is None
        else partial(precision.mean_average_precision, thresholds=(overlap,))
    )
    return Metric(
        name,
        score,
        classes=None,
        larger_is_better=True,
        decided=precision.truth_of,
        percent=True,
        whole=True,
        needs=(precision.BOXES, precision.CLASSES),
        fits=precision.check_boxes,
    )


def _edit(name="edit", blank=sequences.BLANK):
    return Metric(
        name,
        partial(sequences.edit, blank=blank),
        classes=None,
        larger_is_better=True,
        decided=partial(sequences.sequences_of, blank=blank),
        unfit=sequences.unfit,
        percent=True,
    )


def _retrieval(name="retrieval", k=1):
    return Metric(
        name,
        partial(vectors.retrieval, k=k),
        classes=None,
        larger_is_better=True,
        decided=_itself,
        unfit=vectors.no_groups,
        percent=True,
    )


METRICS = {
    metric.name: metric
    for metric in (
        Metric("top1", top(1), classes=True, larger_is_better=True, percent=True),
        Metric("top5", top(5), classes=True, larger_is_better=True, percent=True),
        Metric("f1", f1, classes=True, larger_is_better=True),
        Metric("sqnr", sqnr, classes=False, larger_is_better=True, decibels=True, decided=_itself),
        Metric("mse", mse, classes=False, larger_is_better=False, decided=_itself),
        Metric("cosine", cosine, classes=False, larger_is_better=True, decided=_itself),
        _iou(),
        _map(),
        _edit(),
        _retrieval(),
        Metric(
            "pearson", vectors.pearson, classes=None, larger_is_better=True, decided=_itself, unfit=vectors.not_as_many
        ),
        Metric(
            "spearman",
            vectors.spearman,
            classes=None,
            larger_is_better=True,
            decided=_itself,
            unfit=vectors.not_as_many,
        ),
    )
}
_WITH_VALUE: dict[str, tuple[Callable[..., Metric], Callable[[str], float], str, Callable[[float], bool]]] = {
    "iou": (_iou, float, "the least value of a foreground", np.isfinite),
    "map": (_map, float, "an intersection over union between 0 and 1", lambda value: 0 < value < 1),
    "edit": (_edit, int, "the number of the blank symbol", lambda value: True),
    "retrieval": (_retrieval, int, "how many neighbours, at least 1", lambda value: value >= 1),
}


def find_metric(name: str) -> Metric:
    """A metric by its name, also with a value behind an @ (iou@0.3, map@0.5, edit@-1, retrieval@5), or the user's own
    as package.module:function. Raises OctetError for an unknown name."""
    if ":" in name:
        return own_metric(name)
    base, at, value = name.partition("@")
    if base not in METRICS:
        raise OctetError(
            f"--metric {name}: unknown; take one of {', '.join(METRICS)}, or your own as package.module:function"
        )
    if not at:
        return METRICS[base]
    if base not in _WITH_VALUE:
        raise OctetError(f"--metric {name}: {base} takes no value; leave @{value} out")
    make, kind, meaning, allowed = _WITH_VALUE[base]
    try:
        given = kind(value)
    except ValueError:
        given = None
    if given is None or not allowed(given):
        raise OctetError(f"--metric {name}: {value!r} does not do; behind the @ goes {meaning}")
    return make(name, given)
