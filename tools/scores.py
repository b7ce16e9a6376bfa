"""A metric on the outputs of one set of samples: which outputs count, what each is compared with, and which is
worst."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from ..targets.batches import batch_of, sample_shape
from ..targets.errors import DataError, OctetError
from ..targets.samples import LABELS, OF
from ..targets.stored_array import Array
from .console import say
from .metrics import Metric


@dataclass(frozen=True)
class Scoring:
    """How the outputs of validation samples are scored.

    references: {output: array} that the metric compares with. data: {name: array} as the file holds it, for a metric
    of all outputs together, and `outputs`, those that it is given, () for all. absent: outputs for which fp32's own
    answers are still to be put in (`completed`).
    count: of the samples."""

    metric: Metric
    references: Mapping[str, np.ndarray] = field(default_factory=dict)
    data: Mapping[str, Array] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    count: int = 0

    def completed(self, exact: Mapping[str, np.ndarray], silent: bool = False) -> "Scoring":
        """With fp32's outputs in place of labels that there are none of. Outputs that are zero say nothing: unless they
        were named, or all are, they are left out with a word.
        silent: the words were said before. Raises OctetError where an output that is judged is not finite anywhere."""
        tell = (lambda text: None) if silent else partial(say, err=True)
        self._check_finite(exact, tell)
        if not self.absent:
            return self
        decided = self.metric.decided
        assert decided is not None, "nothing is absent where a metric needs labels"
        if self.metric.whole:
            return replace(self, data={**self.data, **decided(self._given(exact))}, absent=())
        zero = [name for name in self.absent if not np.any(exact[name]) and name not in self.outputs]
        zero = zero if len(zero) < len(self.absent) else []
        for name in zero:
            tell(f"octet: warning: output {name!r} is zero in fp32 on these samples; it is not judged")
        return replace(
            self,
            references={**self.references, **{name: decided(exact[name]) for name in self.absent if name not in zero}},
            absent=(),
        )

    def _check_finite(self, exact, tell):
        for name in sorted(self._given(exact) if self.metric.whole else {*self.references, *self.absent}):
            if not exact[name].size or not np.issubdtype(exact[name].dtype, np.floating):
                continue
            if not np.isfinite(exact[name]).any():
                raise OctetError(
                    f"--metric {self.metric.name}: output {name!r} of fp32 itself is nowhere finite on these data, "
                    "there is nothing to compare with; check the data, or "
                    "judge others with --output-name"
                )
            broken = np.isnan(exact[name]).any(axis=tuple(range(1, exact[name].ndim))).reshape(-1)
            if broken.any():
                tell(
                    f"octet: warning: output {name!r} of fp32 itself is NaN in {np.count_nonzero(broken)} of "
                    f"{len(broken)} samples, which say nothing of int8"
                )

    @property
    def only(self) -> str | None:
        """The one output that is looked at; None for several, or for all together."""
        names = {*self.references, *self.absent}
        return next(iter(names)) if len(names) == 1 else None

    def _given(self, outputs):
        return {name: value for name, value in outputs.items() if not self.outputs or name in self.outputs}

    def scores(self, outputs: Mapping[str, np.ndarray]) -> dict[str, float]:
        """{output: the metric}, or {"": it} of a metric of all of them."""
        if self.metric.whole:
            return {"": self.metric.score(self._given(outputs), self.data)}
        return {name: self.metric.score(outputs[name], reference) for name, reference in self.references.items()}

    def drops(self, before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
        """By how much each is worse (see Metric.drop)."""
        return {name: self.metric.drop(before[name], after[name]) for name in before}

    def drop(self, before: Mapping[str, float], after: Mapping[str, float]) -> float:
        """By how much the worst output is worse (see `Metric.drop`)."""
        return max(self.drops(before, after).values())

    def worst(self, before: Mapping[str, float], after: Mapping[str, float]) -> str:
        """Which output that is."""
        drops = self.drops(before, after)
        return max(drops, key=drops.__getitem__)

    def least(self, scores: Mapping[str, float]) -> str:
        """The output with the worst figure, where there is nothing to set it beside."""
        broken = [name for name, score in scores.items() if not np.isfinite(score)]
        return broken[0] if broken else (min if self.metric.larger_is_better else max)(scores, key=scores.__getitem__)

    def of(self, output: str) -> "Scoring":
        """The scoring of one of the outputs alone ("" of all together)."""
        return replace(self, references={output: self.references[output]}) if output else self

    def rows(self, chosen) -> "Scoring":
        """The scoring of some of the samples, by a slice or an index array. What has another length is not by sample
        and stays."""
        cut = lambda arrays: {
            name: array[chosen] if np.ndim(array) and len(array) == self.count else array
            for name, array in arrays.items()
        }
        return replace(
            self, references=cut(self.references), data=cut(self.data), count=len(np.arange(self.count)[chosen])
        )

    def losses(self, outputs: Mapping[str, np.ndarray]) -> np.ndarray | None:
        """0 or 1 per sample, right or wrong in every output; None where labels are no classes, or several per
        sample."""
        if not self.metric.classes or any(labels.size != len(labels) for labels in self.references.values()):
            return None
        return np.max(
            [
                _wrong(outputs[name].reshape(len(labels), -1), labels.reshape(-1))
                for name, labels in self.references.items()
            ],
            axis=0,
        ).astype(np.int8)


def _wrong(scores, labels):
    broken = np.isnan(scores).any(axis=1)  # A place with a NaN is wrong, which argmax would take for the largest.
    scores = scores[:, 0] if scores.shape[1] == 1 else scores.argmax(1)
    return broken | (scores != labels)


def check_names(names, outputs) -> None:
    """Raises OctetError for a name that no output (TensorSpec) has."""
    known = [spec.name for spec in outputs]
    for name in names:
        if name not in known:
            raise OctetError(f"--output-name {name}: the model has no such output; take some of: {', '.join(known)}")


def scoring_of(
    metric: Metric, data: Mapping[str, Array], model, count: int, where, names=(), fp32: bool = True
) -> Scoring:
    """What `metric` compares outputs with; no sample has run yet. data: what the file holds beside the inputs. model:
    its signature, a Model or a Session. names: the outputs that count, () for all that there is something to compare
    with. fp32: whether its own outputs can be had, which stand in where there are no labels: the result then has
    outputs `absent`. Raises DataError where the data do not fit."""
    check_names(names, model.outputs)
    if metric.whole:
        lacks = metric.missing(data)
        if not (lacks and fp32):
            metric.check_data(data, count, where)
        return Scoring(
            metric, {}, data, tuple(names), tuple(spec.name for spec in model.outputs) if lacks else (), count
        )
    labels = _labels(data, model, names, where)
    for name, array in labels.items():
        spec = next(spec for spec in model.outputs if spec.name == name)
        metric.check((count, *sample_shape(spec, batch_of(model.inputs))), array, where)
    absent = (
        [name for name in names if name not in labels]
        if names
        else []
        if labels
        else [spec.name for spec in model.outputs if _judged(metric, spec)]
    )
    if (absent or not labels) and (metric.decided is None or not fp32):
        raise DataError(_without(metric, where, absent if names else ()))
    return Scoring(metric, labels, {}, tuple(names), tuple(absent), count)


def _judged(metric, spec):
    """Whether an output that nobody named is looked at: whole numbers have no distance from fp32's."""
    return metric.classes is None or np.issubdtype(spec.dtype, np.floating)


def _labels(data, model, names, where):
    """{output: labels}: those of its own, `labels` for the first output or the ones that were named."""
    known = [spec.name for spec in model.outputs]
    for name in data:
        if name.startswith(OF) and name.removeprefix(OF) not in known:
            raise DataError(
                f"{where}: array {name!r} is of no output of the model: {', '.join(known)}; name it labels/OUTPUT"
            )
    found = {name: data[OF + name] for name in known if OF + name in data and (not names or name in names)}
    if LABELS in data:
        found |= {name: data[LABELS] for name in names or ([] if found else known[:1]) if name not in found}
    return found


def _without(metric, where, names):
    of = f" for {', '.join(names)}" if names else ""
    if metric.decided is not None:
        return (
            f"{where}: holds no labels{of}, {metric.name} compares with them or with fp32's own outputs; name the "
            "fp32 network of a package with --model MODEL.onnx"
        )
    return (
        f"{where}: holds no labels{of}, {metric.name} needs them; add an array `labels` with one entry per sample, or "
        "`labels/OUTPUT` for one output"
    )
