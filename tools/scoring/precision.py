"""Mean average precision of detections, as COCO counts it."""

import numpy as np

from ...targets.errors import DataError
from .boxes import detections, overlaps

OVERLAPS = tuple(np.round(np.arange(0.5, 1.0, 0.05), 2))
BOXES, CLASSES = "boxes", "classes"
_RECALLS = np.linspace(0, 1, 101)
_SURE = 0.25  # From this score on a detection of fp32 stands for the truth.


def mean_average_precision(outputs: dict, data: dict, thresholds=OVERLAPS) -> float:
    """From 0 to 1: the mean over classes that occur and over `thresholds` (of intersection over union) of the average
    precision at 101 recalls.

    outputs: {name: array}, see boxes.detections. data: "boxes" float [N, M, 4], corners x1, y1, x2, y2 in the units of
    the outputs, and "classes" whole numbers [N, M], negative where there is no box. Crowds and areas are not told
    apart."""
    boxes, classes = (np.asarray(data[key]) for key in (BOXES, CLASSES))
    found = detections(outputs)
    ratios = [
        _average(found, boxes, classes, label, threshold)
        for label in np.unique(classes[classes >= 0])
        for threshold in thresholds
    ]
    return float(np.mean(ratios)) if ratios else float(not any(len(one.scores) for one in found))


def truth_of(outputs: dict) -> dict:
    """The boxes and classes that fp32 is rather sure of, where there are none to compare with."""
    found = detections(outputs)
    most = max([1, *(int(np.count_nonzero(one.scores >= _SURE)) for one in found)])
    boxes, classes = np.zeros((len(found), most, 4)), np.full((len(found), most), -1, np.int64)
    for number, one in enumerate(found):
        count = np.count_nonzero(one.scores >= _SURE)
        boxes[number, :count], classes[number, :count] = one.boxes[:count], one.classes[:count]
    return {BOXES: boxes, CLASSES: classes}


def check_boxes(data: dict, count: int, where) -> None:
    """Raises DataError where `data` has no boxes and classes for `count` samples."""
    for key, rank, kind in ((BOXES, 3, np.floating), (CLASSES, 2, np.integer)):
        if key not in data:
            raise DataError(
                f"{where}: holds no array {key!r}; map needs boxes [samples, boxes, 4] (corners x1, y1, x2, y2) and "
                "classes [samples, boxes], -1 where there is none"
            )
        array = np.asarray(data[key])
        fits = (
            array.ndim == rank
            and len(array) == count
            and (rank == 2 or array.shape[2] == 4)
            and (np.issubdtype(array.dtype, kind) or (rank == 3 and np.issubdtype(array.dtype, np.number)))
        )
        if not fits:
            raise DataError(
                f"{where}: {key!r} is {array.dtype} {list(array.shape)}; map needs boxes [{count}, boxes, 4] and "
                f"whole numbers classes [{count}, boxes]"
            )
    if np.shape(data[BOXES])[:2] != np.shape(data[CLASSES]):
        raise DataError(
            f"{where}: {BOXES!r} and {CLASSES!r} are of {np.shape(data[BOXES])[1]} and {np.shape(data[CLASSES])[1]} "
            "boxes a sample; give every box its class"
        )


def _average(detections, boxes, classes, label, threshold):
    """Average precision of one class: its detections, best first over all samples, each takes the free box that it
    overlaps most, from `threshold` on."""
    scores, hits, total = [], [], 0
    for one, box, kind in zip(detections, boxes, classes, strict=True):
        truth, of_class = box[kind == label].astype(np.float64), one.classes == label
        total += len(truth)
        taken, near = np.zeros(len(truth), bool), overlaps(one.boxes[of_class], truth)
        for row in near:
            free = np.where(taken, -1.0, row)
            best = int(free.argmax()) if len(free) else -1
            hit = best >= 0 and free[best] >= threshold
            if hit:
                taken[best] = True
            hits.append(hit)
        scores.extend(one.scores[of_class])
    order = np.argsort(-np.array(scores), kind="stable")
    right = np.cumsum(np.array(hits, bool)[order])
    precision = np.maximum.accumulate((right / np.arange(1, len(right) + 1))[::-1])[::-1]
    places = np.searchsorted(right / total, _RECALLS - 1e-12, side="left")
    return float(np.mean(np.append(precision, 0.0)[np.minimum(places, len(precision))]))
