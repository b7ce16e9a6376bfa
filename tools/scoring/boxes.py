"""Detections from what exporters of detectors write, with non-maximum suppression where the network has none."""

from dataclasses import dataclass

import numpy as np

from ...targets.errors import DataError

LEAST_SCORE = 0.001  # A candidate with a lower score is none.
_OVERLAP = 0.65  # Of two boxes of one class with this intersection over union the lesser one goes.
_CANDIDATES, _MOST = 1000, 100  # A sample has at most so many before and after suppression.


@dataclass(frozen=True)
class Detections:
    """The detections of one sample, best first. boxes: float64 [K, 4], corners x1, y1, x2, y2. scores: float64 [K].
    classes: int64 [K]."""

    boxes: np.ndarray
    scores: np.ndarray
    classes: np.ndarray


def detections(outputs: dict[str, np.ndarray]) -> list[Detections]:
    """The detections of every sample. outputs: as one of these writes them (N samples, A candidates, C classes,
    M detections), told apart by shapes:

    * boxes [N, A, 4] and scores [N, A, C], two outputs, as torchvision's SSD: corners, class 0 is the background where
      the scores of a candidate sum to 1;
    * [N, 4 + C, A], A > 4 + C, as YOLOv8 and later: centre x, y, width, height, and a score per class;
    * [N, A, 5 + C], as YOLOv5, YOLOX: the same with a score of any object, which is multiplied, in front of the
      classes;
    * [N, M, 6], suppressed in the network: corners, score, class; it is taken for that where the last column holds
      whole numbers only;
    * boxes [N, M, 4] with scores [N, M] and classes [N, M], three outputs, suppressed likewise (TensorFlow's: corners
      y1, x1, y2, x2, where an output's name holds `detection_boxes`).

    What the network did not suppress is suppressed class by class. Other outputs beside these are passed over. Raises
    DataError where none is there."""
    floats = {name: value for name, value in outputs.items() if np.issubdtype(value.dtype, np.floating)}
    boxes = next(((name, value) for name, value in floats.items() if value.ndim == 3 and value.shape[-1] == 4), None)
    if boxes is not None:
        return _of_two(boxes, outputs)
    whole = next((value for value in floats.values() if value.ndim == 3), None)
    if whole is None or min(whole.shape[1:]) < 5:
        shapes = ", ".join(f"{name} {list(value.shape)}" for name, value in outputs.items())
        raise DataError(
            f"--metric map: no output has the form of boxes and scores ({shapes}); name the right ones with "
            "--output-name, or take a metric of your own"
        )
    # The channels are in front.
    if whole.shape[1] < whole.shape[2]:
        moved = np.moveaxis(whole, 1, 2)
        return [_suppressed(_corners(row[:, :4]), row[:, 4:]) for row in moved.astype(np.float64)]
    if whole.shape[2] == 6 and np.array_equal(np.rint(whole[..., 5]), whole[..., 5]):
        return [_best(row[:, :4], row[:, 4], row[:, 5]) for row in whole.astype(np.float64)]
    return [_suppressed(_corners(row[:, :4]), row[:, 4:5] * row[:, 5:]) for row in whole.astype(np.float64)]


def _of_two(boxes, outputs):
    name, corners = boxes
    others = {key: value for key, value in outputs.items() if key != name and value.shape[:2] == corners.shape[:2]}
    corners = corners.astype(np.float64)
    scores = next(
        (value for value in others.values() if value.ndim == 3 and np.issubdtype(value.dtype, np.floating)), None
    )
    if scores is not None:
        scores = scores.astype(np.float64)
        distributed = scores.shape[-1] > 1 and np.allclose(scores.sum(-1), 1.0, atol=0.02)
        return [_suppressed(box, row[:, 1:] if distributed else row) for box, row in zip(corners, scores)]
    flat = [value for value in others.values() if value.ndim == 2]
    classes = next(
        (
            value
            for key, value in others.items()
            if value.ndim == 2 and (not np.issubdtype(value.dtype, np.floating) or "class" in key or "label" in key)
        ),
        None,
    )
    rest = [value for value in flat if value is not classes]
    if classes is None or not rest:
        raise DataError(
            f"--metric map: output {name} holds boxes, but no other one scores for them; name both with --output-name"
        )
    if "detection_boxes" in name:
        corners = corners[..., [1, 0, 3, 2]]
    return [_best(*row) for row in zip(corners, rest[0].astype(np.float64), classes)]


def _corners(boxes):
    """Of centre x, y, width, height."""
    half = boxes[:, 2:] / 2
    return np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1)


def _best(boxes, scores, classes):
    """Of candidates that are suppressed already."""
    good = np.isfinite(boxes).all(1) & (scores > LEAST_SCORE)
    order = np.flatnonzero(good)[np.argsort(-scores[good], kind="stable")][:_MOST]
    return Detections(boxes[order], scores[order], np.rint(classes[order]).astype(np.int64))


def _suppressed(boxes, scores):
    """boxes: corners [A, 4]. scores: [A, C]. A candidate may be of several classes."""
    candidates, classes = np.nonzero((scores > LEAST_SCORE) & np.isfinite(boxes).all(1)[:, None])
    values = scores[candidates, classes]
    order = np.argsort(-values, kind="stable")[:_CANDIDATES]
    candidates, classes, values = candidates[order], classes[order], values[order]
    kept = suppress(boxes[candidates], classes, _OVERLAP)[:_MOST]
    return Detections(boxes[candidates[kept]], values[kept], classes[kept].astype(np.int64))


def suppress(boxes: np.ndarray, classes: np.ndarray, overlap: float) -> np.ndarray:
    """Greedy non-maximum suppression by class. boxes: [K, 4] corners, best first. The numbers of those that stay, best
    first."""
    left, kept = np.arange(len(boxes)), []
    while left.size:
        best, left = left[0], left[1:]
        kept.append(best)
        left = left[(classes[left] != classes[best]) | (overlaps(boxes[best : best + 1], boxes[left])[0] <= overlap)]
    return np.array(kept, np.int64)


def overlaps(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union of every box of a [I, 4] with every one of b [J, 4]; 0 where both are empty."""
    low, high = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    both = np.prod(np.maximum(high - low, 0), axis=2)
    areas = [np.prod(np.maximum(x[:, 2:] - x[:, :2], 0), axis=1) for x in (a, b)]
    either = areas[0][:, None] + areas[1][None] - both
    return np.divide(both, either, out=np.zeros_like(both), where=either > 0)
