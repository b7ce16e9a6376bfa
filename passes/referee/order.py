"""R.cumsum and R.topk of the referee: element after element; of equal values the one with the lower index first. A NaN
is never chosen: where nothing else is left, the first element stands in its place."""

import numpy as np

from ...targets.seams import Attrs
from .values import Values


def _cumsum(args: Values, attrs: Attrs) -> np.ndarray:
    moved = np.moveaxis(args[0], attrs["axis"], 0)
    total, sums = np.zeros(moved.shape[1:], moved.dtype), np.empty_like(moved)
    for i, value in enumerate(moved):
        sums[i] = total if attrs["exclusive"] else total + value
        total = total + value
    return np.moveaxis(sums, 0, attrs["axis"])


def _topk(args: Values, attrs: Attrs) -> np.ndarray:
    x, axis = args[0], attrs["axis"]
    order = np.argsort(-x if attrs["largest"] else x, axis=axis, kind="stable").take(range(attrs["k"]), axis)
    chosen = np.take_along_axis(x, order, axis)
    order = np.where(np.isnan(chosen), 0, order)
    if attrs["ret_type"] == "indices":
        return order.astype(str(attrs["dtype"]))
    assert attrs["ret_type"] == "values", attrs["ret_type"]
    return np.take_along_axis(x, order, axis)


ORDER = {"relax.cumsum": _cumsum, "relax.topk": _topk}
