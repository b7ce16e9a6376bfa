"""How an answer's clipped values compare with those of calibration.

A value that int8 cannot hold becomes the nearest one that it can. Calibration chose ranges so that few values of its
samples do; many of them in one answer mean that its input is of another kind. An end of a tensor's range is *beyond*
when more values are clipped there than in any answer on calibration samples, by a margin; an answer is flagged when
more of them are beyond than an answer on a calibration sample had against all the others, or when its inputs lie
elsewhere (inputs.py)."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ..errors import OctetError
from .inputs import InputMoments, WatchedInput, moments_of

# A quarter more than the most seen, and a thousandth of the tensor's values, are the margin.
_MORE, _SHARE = 1.25, 1e-3
_FLAGGED = 0.05  # Many answers are at fault where more than this share of them is flagged.


@dataclass(frozen=True)
class Clip:
    """A tensor of which clipped values are counted. layer: what makes it. end: of its range, "high" or "low". values:
    how many are looked at. most, mean: clipped in an answer on a calibration sample."""

    layer: str
    end: str
    values: int
    most: int = 0
    mean: float = 0.0

    @property
    def bound(self) -> int:
        """How many clipped values of one answer calibration explains."""
        return int(_MORE * self.most + _SHARE * self.values)


@dataclass(frozen=True)
class Clipped:
    """What one answer clipped at one end of a tensor's range. clipped: values of the tensor at this end of its range.
    layer, end, values, most: as of Clip. beyond: how many more than calibration explains."""

    layer: str
    end: str
    clipped: int
    values: int
    most: int
    beyond: int


@dataclass(frozen=True)
class Health:
    """The health of one answer, or of several (`together`). tensors: in the order of execution. inputs: where the
    network's inputs lie. flagged: whether they are of another kind than calibration's, or differently preprocessed.
    answers: how many they are."""

    tensors: tuple[Clipped, ...]
    inputs: tuple[InputMoments, ...]
    flagged: bool
    answers: int = 1

    @property
    def beyond(self) -> tuple[Clipped, ...]:
        """The tensors with more clipped values than calibration explains, the worst share first."""
        return tuple(sorted((one for one in self.tensors if one.beyond), key=lambda one: -one.beyond / one.values))


def health_of(
    clips: tuple[Clip, ...],
    counts: np.ndarray,
    limit: int,
    inputs: tuple[WatchedInput, ...] = (),
    sums: np.ndarray = np.empty(0),
) -> Health:
    """What counts and sums of one answer say of it. counts: of the clipped values, in the order of `clips`. sums: the
    words of `inputs`."""
    tensors = tuple(
        Clipped(clip.layer, clip.end, int(count), clip.values, clip.most, max(0, int(count) - clip.bound))
        for clip, count in zip(clips, counts, strict=True)
    )
    moments = moments_of(inputs, sums)
    return Health(
        tensors, moments, sum(one.beyond > 0 for one in tensors) > limit or any(one.beyond for one in moments)
    )


def together(healths: Iterable[Health]) -> Health:
    """What answers of one package say together. Of 16 or more a drift shows, and colours that are exchanged, that no
    single answer shows. They have to be drawn as calibration's samples were:
    a hundred pictures of one kind are a drift, too. flagged: one answer in twenty is, or the inputs lie elsewhere on
    average. Raises OctetError for none, or for those of several packages."""
    healths = list(healths)
    if len({tuple((one.layer, one.end) for one in health.tensors) for health in healths}) != 1:
        raise OctetError(
            f"together: {len(healths)} answers of {'several packages' if healths else 'no package'}; give those of one"
        )
    answers = sum(health.answers for health in healths)
    flagged = sum(health.answers for health in healths if health.flagged)
    tensors = tuple(
        Clipped(
            same[0].layer,
            same[0].end,
            *(sum(getattr(one, name) for one in same) for name in ("clipped", "values", "most", "beyond")),
        )
        for same in zip(*(health.tensors for health in healths), strict=True)
    )
    moments = tuple(
        InputMoments(
            same[0].of,
            tuple(np.average([one.features for one in same], axis=0, weights=[one.answers for one in same]).tolist()),
            answers,
        )
        for same in zip(*(health.inputs for health in healths), strict=True)
    )
    return Health(
        tensors,
        moments,
        flagged > answers * _FLAGGED and flagged > 1 or answers == flagged or any(one.beyond for one in moments),
        answers,
    )


def learnt(clips: tuple[Clip, ...], counts: np.ndarray) -> tuple[tuple[Clip, ...], int]:
    """(the clips as answers on calibration samples have them, the limit for them). counts: int [answers, clips], of at
    least two answers."""
    most = counts.max(axis=0)
    seen = tuple(
        Clip(clip.layer, clip.end, clip.values, int(top), float(mean))
        for clip, top, mean in zip(clips, most, counts.mean(axis=0))
    )
    ordered = np.sort(counts, axis=0)
    values = np.array([clip.values for clip in clips])
    # Every answer is held against the most of all others.
    bounds = np.where(counts == ordered[-1], ordered[-2], ordered[-1])
    return seen, int((counts > _MORE * bounds + _SHARE * values).sum(axis=1).max())
