"""R.image.resize2d of the referee: nearest neighbour (any dtype) and linear (float32), NCHW; separable, rows first.

Source coordinates are computed in float32 as TVM's topi does. Linear: top = a + (b - a) * t along the width for two
rows, then the same along the height; every operation rounded on its own.
"""

from collections.abc import Callable
from fractions import Fraction
from math import floor, lcm

import numpy as np

from ...targets.seams import Attrs
from ..operators.images import LARGEST_UNIT
from .values import Values

F32 = np.float32
METHODS = ("nearest_neighbor", "linear")
_EPSILON = F32(1e-5)


def coordinates(size: int, result: int, mode: str) -> np.ndarray:
    """Where every output position lies in the input, float32 [result]."""
    x = np.arange(result).astype(F32)
    scale = F32(size) / F32(result)
    if mode == "half_pixel":
        return (x + F32(0.5)) * scale - F32(0.5)
    if mode == "pytorch_half_pixel":
        return (x + F32(0.5)) * scale - F32(0.5) if result > 1 else np.zeros(1, F32)
    if mode == "align_corners":
        return F32(size - 1) / F32(max(result - 1, 1)) * x
    if mode == "asymmetric":
        return scale * x
    assert mode == "tf_half_pixel_for_nn", f"coordinate transformation mode {mode}"
    return (x + F32(0.5)) * scale


def nearest_indices(size: int, result: int, mode: str, rounding: str) -> np.ndarray:
    """The input position that every output position copies, int64 [result]."""
    x = coordinates(size, result, mode)
    ways: dict[str, Callable[[], np.ndarray]] = {
        "round": lambda: np.rint(x),
        "": lambda: np.rint(x),
        "round_prefer_floor": lambda: np.ceil(x - F32(0.5)),
        "round_prefer_ceil": lambda: np.floor(x + F32(0.5)),
        "floor": lambda: np.floor(x + _EPSILON),
        "ceil": lambda: np.ceil(x - _EPSILON),
    }
    return np.clip(ways[rounding]().astype(np.int64), 0, size - 1)


def linear_taps(size: int, result: int, mode: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(lower index, upper index, weight of the upper one float32) of every output position."""
    x = coordinates(size, result, mode)
    base = np.floor(x)
    low, high = (np.clip(base.astype(np.int64) + step, 0, size - 1) for step in (0, 1))
    return low, high, x - base


def whole_taps(size: int, result: int, mode: str) -> tuple[np.ndarray, int] | None:
    """(int32 [result, 3] of (lower index, upper index, weight of the upper one), the sum of both weights) with exact
    rational positions: linear interpolation in whole numbers. None where the weights have no common unit up to
    LARGEST_UNIT."""
    ratio, half = Fraction(size, result), Fraction(1, 2)
    positions: dict[str, Callable[[int], Fraction]] = {
        "half_pixel": lambda i: (i + half) * ratio - half,
        "pytorch_half_pixel": lambda i: (i + half) * ratio - half if result > 1 else Fraction(0),
        "align_corners": lambda i: i * Fraction(size - 1, max(result - 1, 1)),
        "asymmetric": lambda i: i * ratio,
        "tf_half_pixel_for_nn": lambda i: (i + half) * ratio,
    }
    position = positions.get(mode)
    if position is None:
        return None
    places = [position(i) for i in range(result)]
    unit = lcm(*(place.denominator for place in places))
    if unit > LARGEST_UNIT:
        return None
    taps = [(floor(place), floor(place) + 1, int((place - floor(place)) * unit)) for place in places]
    return np.array(
        [(min(max(low, 0), size - 1), min(max(high, 0), size - 1), weight) for low, high, weight in taps], np.int32
    ), unit


def interpolate(
    codes: np.ndarray, rows: np.ndarray, columns: np.ndarray, row_units: int, column_units: int
) -> np.ndarray:
    """int64 [N, C, OH, OW]: the weighted sums of octet.resize2d, `codes` without their zero point."""
    wide = codes.astype(np.int64)
    (top, bottom, down), (left, right, across) = rows.T.astype(np.int64), columns.T.astype(np.int64)
    down, across = down[:, None], across[None, :]
    upper, lower = (
        row[..., left] * (column_units - across) + row[..., right] * across
        for row in (wide[:, :, top], wide[:, :, bottom])
    )
    return upper * (row_units - down) + lower * down


def resize2d(args: Values, attrs: Attrs) -> np.ndarray:
    """The result [N, C, size...] in the dtype of the data."""
    data, size = args[0], args[1]
    assert attrs["layout"] == "NCHW", attrs["layout"]
    mode = attrs["coordinate_transformation_mode"]
    if attrs["method"] == "nearest_neighbor":
        rows, columns = (nearest_indices(data.shape[2 + i], size[i], mode, attrs["rounding_method"]) for i in (0, 1))
        return data[:, :, rows[:, None], columns[None, :]]
    assert attrs["method"] == "linear", attrs["method"]
    top, bottom, down = linear_taps(data.shape[2], size[0], mode)
    left, right, across = linear_taps(data.shape[3], size[1], mode)
    across = across.reshape(1, 1, 1, -1)
    upper, lower = (
        (row[..., left] + (row[..., right] - row[..., left]) * across) for row in (data[:, :, top], data[:, :, bottom])
    )
    return upper + (lower - upper) * down.reshape(1, 1, -1, 1)
