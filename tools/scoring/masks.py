"""Intersection over union of masks."""

import numpy as np

from .places import IGNORED, class_axis

THRESHOLD = 0.5  # A probability above this is foreground.


def iou(output: np.ndarray, masks: np.ndarray, threshold: float = THRESHOLD) -> float:
    """Intersection over union, from 0 to 1, over all pixels of all samples.

    output: float [N, 1, H, W] or [N, H, W], foreground where it is greater than `threshold`, or [N, C, H, W], the class
    with the largest score; whole numbers are classes already. masks: whole numbers, [N, H, W] or the output's shape;
    -100 does not count. Of a foreground it is its own; of classes the mean over those that occur in either. 1 where
    neither has any. A pixel that is NaN is wrong."""
    classes, binary = _classes(output, masks, threshold)
    classes, masks = classes.reshape(-1), masks.reshape(-1)
    counted = masks != IGNORED
    classes, masks = classes[counted], masks[counted].astype(np.int64)
    ratios = []
    for label in [1] if binary else np.union1d(classes[classes >= 0], masks):
        both = np.count_nonzero((classes == label) & (masks == label))
        either = np.count_nonzero((classes == label) | (masks == label) | ((classes < 0) & binary))
        if either:
            ratios.append(both / either)
    return float(np.mean(ratios)) if ratios else 1.0


def masks_of(output: np.ndarray, threshold: float = THRESHOLD) -> np.ndarray:
    """The masks that fp32 answers, where there are none to compare with: int64 [N, H, W] of classes, else of the
    output's shape."""
    if not np.issubdtype(output.dtype, np.floating):
        return output.astype(np.int64)
    return output.argmax(1) if output.ndim == 4 and output.shape[1] > 1 else (output > threshold).astype(np.int64)


def unfit(shape, masks: np.ndarray) -> str | None:
    """What is wrong with masks for an output of that shape; None if nothing is."""
    fits = masks.size == np.prod(shape) or class_axis(shape, masks.shape) is not None
    if not fits or not (np.issubdtype(masks.dtype, np.integer) or masks.dtype == bool):
        return f"iou needs one class (a whole number) per pixel of the output {list(shape)}"
    return None


def _classes(output, masks, threshold):
    """(class of every pixel, -1 of one that is NaN; whether there is only a foreground)."""
    if not np.issubdtype(output.dtype, np.floating):
        return output.astype(np.int64), False
    if masks.size == output.size:
        return np.where(np.isnan(output), -1, output > threshold), True
    axis = class_axis(output.shape, masks.shape)
    return np.where(np.isnan(output).any(axis), -1, output.argmax(axis)), False
