"""What training makes small: the distance to fp32's answers, and to the labels where there are any."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from ...passes.frontend.model import Model
from ...targets.batches import batch_of, takes_whole
from ..scoring.places import IGNORED, class_axis

_SMALLEST = 1e-12


@dataclass(frozen=True)
class Objective:
    """The loss of a training.

    model: whose outputs are learnt. teacher: {output: fp32's answers for the training samples}. classes: the outputs
    that hold scores of classes.
    labels: {output: one class per sample or place}. distill: the part of fp32's answers in the loss of an output with
    labels.

    Scores of classes: divergence of the distributions (Kullback-Leibler), and cross-entropy with the labels. Other
    float outputs: squared error over fp32's energy."""

    model: Model
    teacher: Mapping[str, np.ndarray]
    classes: frozenset[str]
    labels: Mapping[str, np.ndarray]
    distill: float

    def loss(self, answers: Mapping[str, torch.Tensor], rows: np.ndarray) -> torch.Tensor:
        """The loss of a mini-batch.

        answers: of a Network for the samples `rows`."""
        losses = []
        for spec in self.model.outputs:
            if self.teacher[spec.name].dtype.kind != "f":
                continue
            found = _samples(spec, answers[spec.name], batch_of(self.model.inputs), len(rows))
            wanted = torch.from_numpy(np.ascontiguousarray(self.teacher[spec.name][rows])).to(found.device)
            losses.append(
                self._of_classes(spec.name, found, wanted, rows)
                if spec.name in self.classes
                else _distance(found, wanted)
            )
        return torch.stack(losses).sum()

    def _of_classes(self, name, outputs, wanted, rows):
        labels = self.labels[name][rows] if name in self.labels else None
        axis = _axis(tuple(wanted.shape), None if labels is None else labels.shape)
        outputs, wanted = (torch.movedim(x, axis, -1).flatten(0, -2) for x in (outputs.reshape(wanted.shape), wanted))
        probabilities = bool((wanted >= 0).all()) and torch.allclose(
            wanted.sum(-1), torch.ones(len(wanted), device=wanted.device), atol=1e-3
        )
        outputs, wanted = (
            torch.log(x.clamp(min=_SMALLEST)) if probabilities else torch.log_softmax(x, -1) for x in (outputs, wanted)
        )
        loss = F.kl_div(outputs, wanted, log_target=True, reduction="batchmean")
        if labels is None:
            return loss
        true = torch.from_numpy(np.ascontiguousarray(labels.reshape(-1), np.int64)).to(outputs.device)
        return self.distill * loss + (1 - self.distill) * F.nll_loss(outputs, true, ignore_index=IGNORED)


def _distance(outputs, wanted):
    """Where fp32 is not finite (the -inf of a mask) there is nothing to learn."""
    finite = torch.isfinite(wanted)
    outputs, wanted = (
        torch.where(finite, x.reshape(wanted.shape), torch.zeros_like(wanted)) for x in (outputs, wanted)
    )
    return (outputs - wanted).square().sum() / wanted.square().sum().clamp(min=_SMALLEST)


def _samples(spec, value, batch, count):
    """An output of several runs with the samples on its first axis (`samples_of` of targets/batches.py, run by run)."""
    if takes_whole(spec, batch):
        return value
    return torch.movedim(value, spec.batch_axis + 1, 1).flatten(0, 1)[:count]


def _axis(shape, labels):
    """Of the classes: what labels per place lack; else axis 1 of images, the last one of everything else."""
    found = class_axis(shape, labels) if labels is not None and len(labels) > 1 else None
    return found if found is not None else 1 if len(shape) == 4 else len(shape) - 1
