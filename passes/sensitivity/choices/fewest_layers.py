"""The fewest layers in float with which something holds: a prefix of the ranking, then what of it is not needed."""

from collections.abc import Callable

from ..ranking import Ranked

_PIECES = 8  # Each piece that is tried for whether it is needed costs a measurement, so there are at most so many.
_MUCH = 1.1  # What raises the squared error on few samples by more than this factor is needed.


def fewest_layers(
    ranking: list[Ranked],
    holds: Callable[[list[Ranked]], bool],
    tell: Callable[..., None],
    spent: Callable[[], bool],
    first: int = 1,
    error: Callable[[list[Ranked]], float] | None = None,
) -> list[Ranked] | None:
    """Layers of the ranking, most sensitive first, with which it holds; None where all of them are not enough, or the
    time was over before it held. tell(text, done, total): progress. spent(): whether there is no time for another
    measurement. first: how many of them it may be, by a guess; the search goes up or down from there in doubling
    steps. error(layers): of the network with these in float, cheaply measured; what raises it much is needed."""

    def holds_with(layers: list[Ranked]) -> bool:
        tell(f"partial quantization: {len(layers)} operators in float")
        return holds(layers)

    low, high, count, step = 0, None, min(first, len(ranking)), max(1, first // 4)
    while (high is None or low == 0 < high - 1) and not spent():
        if holds_with(ranking[:count]):
            high, count = count, max(count - step, 1)
        elif count == len(ranking):
            return None
        else:
            low, count = count, min(count + step, len(ranking))
            if high is not None:
                break
        step *= 2
    if high is None:
        return None
    while high - low > 1 and not spent():
        middle = (low + high) // 2
        low, high = (low, middle) if holds_with(ranking[:middle]) else (middle, high)
    return _needed(ranking[:high], holds, tell, spent, error)


def guessed(ranking: list[Ranked], error: Callable[[list[Ranked]], float], enough: float) -> int:
    """How many of the first layers in float bring the error to `enough`, as if every one lowered it; all of them where
    they do not. error(layers): of the network with these in float, cheaply measured."""
    low, high = 0, len(ranking)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if error(ranking[:middle]) <= enough else (middle, high)
    return high


def _needed(
    chosen: list[Ranked],
    holds: Callable[[list[Ranked]], bool],
    tell: Callable[..., None],
    spent: Callable[[], bool],
    error: Callable[[list[Ranked]], float] | None,
) -> list[Ranked]:
    """Without the pieces that turn out not to be needed, the least sensitive first. The last layer is: without it the
    prefix did not hold."""
    doubtful, most = chosen[-2::-1], error(chosen) * _MUCH if error is not None else 0.0
    size = -(-len(doubtful) // _PIECES) or 1
    for start in range(0, len(doubtful), size):
        tell("partial quantization: which are not needed", start, len(doubtful))
        piece = doubtful[start : start + size]
        fewer = [layer for layer in chosen if layer not in piece]
        if not spent() and (error is None or error(fewer) <= most) and holds(fewer):
            chosen = fewer
    return chosen
