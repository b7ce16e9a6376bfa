"""The fewest layers in float with which something holds: a prefix of the ranking, then what of it is not needed."""

from collections.abc import Callable

from ..ranking import Ranked

_PIECES = 8  # that are tried for whether they are needed: each costs a measurement


def fewest_layers(
    ranking: list[Ranked],
    holds: Callable[[list[Ranked]], bool],
    tell: Callable[..., None],
    spent: Callable[[], bool],
) -> list[Ranked] | None:
    """Layers of the ranking, most sensitive first, with which it holds; None where all of them are not enough, or the
    time was over before it held. tell(text, done, total): progress. spent(): whether there is no time for another
    measurement."""

    def holds_with(layers: list[Ranked]) -> bool:
        tell(f"partial quantization: {len(layers)} operators in float")
        return holds(layers)

    low, high, step = 0, None, 1
    while high is None and not spent():  # 1, 2, 4, ... layers
        count = min(step, len(ranking))
        if holds_with(ranking[:count]):
            high = count
        elif count == len(ranking):
            return None
        else:
            low, step = count, 2 * step
    if high is None:
        return None
    while high - low > 1 and not spent():
        middle = (low + high) // 2
        low, high = (low, middle) if holds_with(ranking[:middle]) else (middle, high)
    return _needed(ranking[:high], holds, tell, spent)


def _needed(
    chosen: list[Ranked],
    holds: Callable[[list[Ranked]], bool],
    tell: Callable[..., None],
    spent: Callable[[], bool],
) -> list[Ranked]:
    """Without the pieces that turn out not to be needed, the least sensitive first. The last layer is: without it the
    prefix did not hold."""
    doubtful = chosen[-2::-1]
    size = -(-len(doubtful) // _PIECES) or 1
    for start in range(0, len(doubtful), size):
        tell("partial quantization: which are not needed", start, len(doubtful))
        piece = doubtful[start : start + size]
        fewer = [layer for layer in chosen if layer not in piece]
        if not spent() and holds(fewer):
            chosen = fewer
    return chosen
