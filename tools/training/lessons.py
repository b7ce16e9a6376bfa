"""What the user's samples teach, and which of them judge."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ...passes.calibrate.held_out import hold_out
from ...targets.batches import batch_of
from ...targets.errors import OctetError
from ...targets.samples import LABELS, OF
from ...targets.stored_array import Array, select
from ..data import read_samples
from ..metrics import METRICS, Metric, find_metric
from ..scores import Scoring, scoring_of


@dataclass(frozen=True)
class Lessons:
    """The samples that a training learns from, and those that judge it.

    train: inputs, and labels of their outputs; classes: the outputs that hold scores of classes. held: inputs of the
    samples that judge, and how (`scoring`)."""

    train: Mapping[str, Array]
    labels: Mapping[str, np.ndarray]
    classes: frozenset[str]
    held: Mapping[str, Array]
    scoring: Scoring


def lessons_of(network, train, validate, metric: str | None, names) -> Lessons:
    """Reads the samples that teach and those that judge.

    train, validate: DATA.npz; without a second one every fourth sample of the first, at most 128, judges instead of
    training. metric: None for top1 where there are labels, else sqnr; names: the outputs that count, () for all. Raises
    DataError and OctetError."""
    if not any(np.issubdtype(spec.dtype, np.floating) for spec in network.outputs):
        raise OctetError(
            "octet finetune: no output of the model holds floats, which training needs; export it without its last "
            "decision"
        )
    arrays, others = read_samples(train, network, others=True)
    labelled = _labelled(others)
    given = read_samples(validate, network, others=True) if validate is not None else None
    chosen = find_metric(metric or ("top1" if labelled or given and _labelled(given[1]) else "sqnr"))
    count = len(next(iter(arrays.values())))
    taught = scoring_of(chosen, others, network, count, train, names) if chosen.classes and labelled else None
    labels = taught.references if taught is not None else {}
    classes = frozenset(labels or names or [network.outputs[0].name]) if chosen.classes else frozenset()
    if given is not None:
        return Lessons(arrays, labels, classes, given[0], _judging(chosen, given, network, validate, names))
    scoring = taught or _judging(METRICS["sqnr"] if chosen.classes else chosen, (arrays, others), network, train, names)
    fitted, held = (parts["rows"] for parts in hold_out({"rows": np.arange(count)}, batch_of(network.inputs)))
    cut = [{name: select(array, rows) for name, array in arrays.items()} for rows in (fitted, held)]
    return Lessons(cut[0], {name: array[fitted] for name, array in labels.items()}, classes, cut[1], scoring.rows(held))


def _labelled(others):
    return any(name == LABELS or name.startswith(OF) for name in others)


def _judging(metric: Metric, data, network, where, names):
    return scoring_of(metric, data[1], network, len(next(iter(data[0].values()))), where, names)
