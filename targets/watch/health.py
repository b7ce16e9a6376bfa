"""How an answer's clipped values compare with those of calibration.

A value that int8 cannot hold becomes the nearest one that it can. Calibration chose ranges so that few values of its samples do; many of them in one answer mean
that its input is of another kind. A tensor is *beyond* when more of its values are clipped than in any answer on calibration samples, by a margin; an answer is flagged when
more tensors are beyond than an answer on a calibration sample had against all the others."""

from dataclasses import dataclass

import numpy as np

_MORE, _SHARE = 1.25, 1e-3  # the margin: a quarter more than the most seen, and a thousandth of the tensor's values


@dataclass(frozen=True)
class Clip:
    """A tensor of which clipped values are counted. layer: what makes it. values: how many it has. most, mean: clipped in an answer on a calibration sample."""

    layer: str
    values: int
    most: int = 0
    mean: float = 0.0

    @property
    def bound(self) -> int:
        return int(_MORE * self.most + _SHARE * self.values)


@dataclass(frozen=True)
class Clipped:
    """clipped: values of the tensor at an end of its range in this answer. values, most: as of Clip. beyond: how many more than calibration explains."""

    layer: str
    clipped: int
    values: int
    most: int
    beyond: int


@dataclass(frozen=True)
class Health:
    """Of one answer. tensors: in the order of execution. beyond: those with more clipped values than calibration explains, the worst share first. flagged: whether there are
    more of them than in answers on calibration samples: the input is of another kind, or differently preprocessed."""

    tensors: tuple[Clipped, ...]
    flagged: bool

    @property
    def beyond(self) -> tuple[Clipped, ...]:
        return tuple(sorted((one for one in self.tensors if one.beyond), key=lambda one: -one.beyond / one.values))


def health_of(clips: tuple[Clip, ...], counts: np.ndarray, limit: int) -> Health:
    """counts: of the clipped values, in the order of `clips`."""
    tensors = tuple(Clipped(clip.layer, int(count), clip.values, clip.most, max(0, int(count) - clip.bound)) for clip, count in zip(clips, counts, strict=True))
    return Health(tensors, sum(one.beyond > 0 for one in tensors) > limit)


def learnt(clips: tuple[Clip, ...], counts: np.ndarray) -> tuple[tuple[Clip, ...], int]:
    """(the clips as answers on calibration samples have them, the limit for them). counts: int [answers, clips], of at least two answers."""
    most = counts.max(axis=0)
    seen = tuple(Clip(clip.layer, clip.values, int(top), float(mean)) for clip, top, mean in zip(clips, most, counts.mean(axis=0)))
    ordered = np.sort(counts, axis=0)
    values = np.array([clip.values for clip in clips])
    bounds = np.where(counts == ordered[-1], ordered[-2], ordered[-1])  # the most of all other answers
    return seen, int((counts > _MORE * bounds + _SHARE * values).sum(axis=1).max())
