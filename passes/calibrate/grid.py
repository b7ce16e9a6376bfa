"""Weights that are whole multiples of one number already: of a file that comes quantised, of weight sharing, of
training with quantization.

    w = q * g with whole q, |q| <= 127   ->   the scale g / k, k the largest whole number with k * max|q| <= 127

So nothing is rounded, and the integers are the file's own (times k). A channel of ordinary weights has no such g: it
would have more than 127 steps. Unsigned weights with a zero point away from the middle have up to 255 steps to one
side; `most` says how many are wanted.
"""

import numpy as np

_TOLERANCE = 1e-3  # A weight may lie beside the grid by this part of a step.


def grid_scales(weight: np.ndarray, axis: int, most: int = 127) -> np.ndarray | None:
    """float32 scales [channels], or [1] if `axis` is -1, on which every weight is a whole number in [-most - 1, most];
    None where a channel has none.
    A channel of zeros gets scale 0."""
    rows = np.moveaxis(weight, axis, 0).reshape(weight.shape[axis], -1) if axis >= 0 else weight.reshape(1, -1)
    if not rows.size or any(len(np.unique(np.abs(row[:512]))) > most + 2 for row in rows[:1]):
        return None  # Most networks are told apart by their first channel.
    scales = np.zeros(len(rows), np.float32)
    for channel, row in enumerate(rows):
        values = np.unique(row)
        if values.any():
            scale = _scale(values, most)
            if scale is None:
                return None
            scales[channel] = scale
    return scales


def _scale(values: np.ndarray, most: int) -> np.float32 | None:
    """The scale of a channel's different values, ascending."""
    sizes = np.unique(np.abs(values[values != 0])).astype(np.float64)
    largest = sizes[-1]
    if len(sizes) > most + 1:
        return None
    step = sizes[0]
    for size in sizes[1:]:
        step = _common(size, step, largest / (4 * (most + 1)))
        # A divisor gathers the roundings of what it was made from; the largest size has only one.
        step = size / np.rint(size / step)
        if largest / step > most + 1.5:
            return None
    count = int(np.rint(largest / step))
    if count > most and (count > most + 1 or values[-1] > (most + 0.5) * step):
        return None
    steps = np.rint(values.astype(np.float64) / step)
    if np.abs(values / step - steps).max() > _TOLERANCE:
        return None
    return _exact(values, steps, step) / np.float32(max(most // count, 1))


def _common(a: np.float64, b: np.float64, smallest: np.float64) -> np.float64:
    """The greatest common divisor of two sizes; what is left below `smallest` is rounding."""
    while b > smallest:
        a, b = b, abs(a - np.rint(a / b) * b)
    return a


def _exact(values: np.ndarray, steps: np.ndarray, step: np.float64) -> np.float32:
    """The float32 next to `step` whose multiples are the values themselves, if there is one: the file's own scale."""
    near = np.float32(step)
    candidates = [near, np.nextafter(near, np.float32(0)), np.nextafter(near, np.float32(np.inf))]
    return next(
        (c for c in candidates if np.array_equal(steps.astype(np.float32) * c, values.astype(np.float32))), near
    )
