"""octet.scatter_add, octet.non_max_suppression and octet.nonzero of the referee (equations: passes/ops.py)."""

import numpy as np

from ...targets.seams import Attrs
from .values import Values


def _scatter_add(args: Values, attrs: Attrs) -> np.ndarray:
    data, updates, numbers = args
    total = data.copy()
    for number, update in zip(numbers.tolist(), updates, strict=True):
        if 0 <= number < len(total):
            total[number] += update
    return total


def _nonzero(args: Values, attrs: Attrs) -> np.ndarray:
    places = np.full((args[0].ndim, args[0].size), -1, np.int64)
    found = np.argwhere(args[0])
    places[:, : len(found)] = found.T
    return places


def _non_max_suppression(args: Values, attrs: Attrs) -> np.ndarray:
    boxes, scores = args
    most = min(attrs["most"], scores.shape[2])
    kept = [
        (image, kind, box)
        for image in range(scores.shape[0])
        for kind in range(scores.shape[1])
        for box in _kept(_bounds(boxes[image], attrs["centers"]), scores[image, kind], attrs, most)
    ]
    rows = np.full((scores.shape[0] * scores.shape[1] * most, 3), -1, np.int64)
    rows[: len(kept)] = np.array(kept, np.int64).reshape(-1, 3)
    return rows


def _bounds(boxes: np.ndarray, centers: int) -> tuple[np.ndarray, np.ndarray]:
    """(lows, highs), each [n, 2]: one column per axis."""
    first, second = boxes[:, :2], boxes[:, 2:]
    if centers:
        half = second * np.float32(0.5)
        return first - half, first + half
    return np.minimum(first, second), np.maximum(first, second)


def _kept(bounds: tuple[np.ndarray, np.ndarray], scores: np.ndarray, attrs: Attrs, most: int) -> list[np.int64]:
    candidates = scores > np.float32(attrs["threshold"]) if "threshold" in attrs else ~np.isnan(scores)
    kept: list[np.int64] = []
    for box in np.argsort(-scores, kind="stable"):
        if len(kept) == most:
            break
        if candidates[box] and not _overlaps(bounds, box, kept, np.float32(attrs["overlap"])):
            kept.append(box)
    return kept


def _overlaps(bounds: tuple[np.ndarray, np.ndarray], box: np.int64, kept: list[np.int64], limit: np.float32) -> bool:
    """Whether a box overlaps with one of those."""
    (low, high), (lows, highs) = (each[box] for each in bounds), (each[kept] for each in bounds)
    sides = np.minimum(high, highs) - np.maximum(low, lows)
    shared = sides[:, 0] * sides[:, 1]
    area, areas = np.prod(high - low, dtype=np.float32), (highs - lows)[:, 0] * (highs - lows)[:, 1]
    union = (area + areas) - shared
    return bool(
        np.any((sides > 0).all(1) & (area > 0) & (areas > 0) & (union > 0) & (shared > 0) & (shared / union > limit))
    )


SELECTION = {
    "octet.scatter_add": _scatter_add,
    "octet.nonzero": _nonzero,
    "octet.non_max_suppression": _non_max_suppression,
}
