"""Where the values of a network's inputs lie, compared with those of calibration: what is too small or exchanged clips
nothing.

An answer's features are, of every part of an input's channels, the mean of its stored codes and the mean of their
distances from the middle of the range. Calibration's answers say what is usual: the mean of the features and how they
vary together. One answer is beyond when its Mahalanobis distance is larger than that of any calibration answer against
all the others, by a margin. Of many answers the mean of the features is compared, which varies less the more they are
(Hotelling's test): exchanged colours hardly show in one picture and clearly in sixteen."""

from dataclasses import dataclass

import numpy as np

_MORE = 1.25  # A distance may be a quarter above the largest one seen.
_ROUNDING = 0.25  # Rounding alone explains this variance of codes.
_DEVIATIONS = 4.0  # A distance of more standard deviations is no accident.
_ANSWERS_A_FEATURE = 4  # Fewer answers do not tell how features vary together.
_MOST_TOGETHER = 32  # More answers at once do not make a small drift a fault.


@dataclass(frozen=True)
class Usual:
    """What is usual of answers on calibration samples. mean: of the features. precision: the inverse of their
    covariance. bound: of the distance of one answer."""

    answers: int
    mean: tuple[float, ...]
    precision: tuple[tuple[float, ...], ...]
    bound: float

    def distance(self, features: np.ndarray, answers: int) -> float:
        """How far features lie from the usual ones. features: the mean of so many answers."""
        count = min(answers, _MOST_TOGETHER)
        return _distance(features - np.array(self.mean), np.array(self.precision), count, self.answers)

    def bound_of(self, answers: int) -> float:
        """What single answers may be far out counts the less the more there are."""
        tail = _tail(len(self.mean), self.answers)
        return tail + (self.bound - tail) / min(answers, _MOST_TOGETHER)


@dataclass(frozen=True)
class WatchedInput:
    """An input whose values are compared with those of calibration. layer: what rounds the input. values: how many are
    looked at of every part of its channels. usual: None where calibration had too few answers to say."""

    layer: str
    values: tuple[int, ...]
    usual: Usual | None = None

    @property
    def words(self) -> int:
        """Sums of codes, then sums of distances from the middle."""
        return 2 * len(self.values)

    def features(self, words: np.ndarray) -> np.ndarray:
        """float64 [.., words]: means of stored codes, 0 to 255, and of their distances from 128."""
        return words / np.array(self.values * 2, np.float64)


@dataclass(frozen=True)
class InputMoments:
    """An input in one answer, or in several. features: of Input. distance: of what is usual; bound: how far it may be;
    both None where nothing is known to be usual."""

    of: WatchedInput
    features: tuple[float, ...]
    answers: int

    @property
    def layer(self) -> str:
        """The input's name, as a finding calls it."""
        return self.of.layer

    @property
    def distance(self) -> float | None:
        """The distance of the features to the usual ones; None where nothing is usual."""
        return None if self.of.usual is None else self.of.usual.distance(np.array(self.features), self.answers)

    @property
    def bound(self) -> float | None:
        """The bound beyond which a distance is unusual."""
        return None if self.of.usual is None else self.of.usual.bound_of(self.answers)

    @property
    def beyond(self) -> bool:
        """Whether the answer's inputs lie further from the usual ones than `bound`."""
        return self.distance is not None and self.bound is not None and self.distance > self.bound


def moments_of(inputs: tuple[WatchedInput, ...], words: np.ndarray) -> tuple[InputMoments, ...]:
    """The moments of one answer's inputs. words: int32, of the inputs in order."""
    ends = np.cumsum([one.words for one in inputs], dtype=int)
    return tuple(
        InputMoments(one, tuple(one.features(words[end - one.words : end]).tolist()), 1)
        for one, end in zip(inputs, ends, strict=True)
    )


def usual_of(answers: list[tuple[InputMoments, ...]]) -> tuple[WatchedInput, ...]:
    """The inputs, as answers on calibration samples have them."""
    return tuple(
        WatchedInput(same[0].layer, same[0].of.values, _usual(np.array([one.features for one in same])))
        for same in zip(*answers, strict=True)
    )


def _usual(features: np.ndarray) -> Usual | None:
    answers, count = features.shape
    if answers < _ANSWERS_A_FEATURE * count:
        return None
    seen = max(_apart(features, i) for i in range(answers))
    mean, precision = _fitted(features)
    bound = max(_MORE * seen, _tail(count, answers))
    return Usual(answers, _rounded(mean), tuple(map(_rounded, precision)), *_rounded(np.array([bound])))


def _apart(features: np.ndarray, i: int) -> float:
    """The distance of an answer from all the others."""
    others = np.delete(features, i, axis=0)
    mean, precision = _fitted(others)
    return _distance(features[i] - mean, precision, 1, len(others))


def _fitted(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    covariance = np.atleast_2d(np.cov(features.T)) + _ROUNDING * np.eye(features.shape[1])
    return features.mean(axis=0), np.linalg.inv(covariance)


def _distance(difference: np.ndarray, precision: np.ndarray, count: int, answers: int) -> float:
    return float(difference @ precision @ difference) * count * answers / (count + answers)


def _tail(features: int, answers: int) -> float:
    """What a distance of normally distributed features hardly ever reaches (Wilson and Hilferty's approximation of
    chi-square), when their covariance is known from so many answers."""
    spread = 2 / (9 * features)
    return features * (1 - spread + _DEVIATIONS * spread**0.5) ** 3 * answers / (answers - features)


def _rounded(values: np.ndarray) -> tuple[float, ...]:
    """The array to six digits: further ones would depend on the linear algebra of the machine that computed them."""
    return tuple(float(f"{value:.6g}") for value in values)
