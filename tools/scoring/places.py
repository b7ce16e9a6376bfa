"""Labels of samples, and of places of samples (tokens, pixels)."""

import numpy as np

# Such a label does not count (PyTorch's ignore_index): it marks padding of sequences, and borders of regions.
IGNORED = -100


def class_axis(output_shape, labels_shape) -> int | None:
    """The axis of the output that the labels lack, where there is one label per place (token, pixel) and not per
    sample: the last one of rank 3, else axis 1, else any; None if there is none."""
    fitting = [
        axis
        for axis in range(1, len(output_shape))
        if tuple(output_shape[:axis]) + tuple(output_shape[axis + 1 :]) == tuple(labels_shape)
    ]
    preferred = len(output_shape) - 1 if len(output_shape) == 3 else 1
    return (preferred if preferred in fitting else fitting[0]) if fitting else None


def decisions(output: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lines up scores and labels, decision by decision.

    (scores [M, classes], labels [M]) of M decisions: one per sample, or one per place of every sample; one column
    means class indices."""
    if labels.size == len(output):
        return output.reshape(len(output), -1), labels.reshape(-1)
    axis = class_axis(output.shape, labels.shape)
    scores = output.reshape(-1, 1) if axis is None else np.moveaxis(output, axis, -1).reshape(-1, output.shape[axis])
    counted = labels.reshape(-1) != IGNORED
    return scores[counted], labels.reshape(-1)[counted]
