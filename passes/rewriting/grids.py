"""The grids of a file's quantised constants, which an imported module carries along: its front end makes float32
constants of them, whose integers come back later.

Values alone do not say their scale: a channel whose integers are all multiples of 3 lies on a grid of three times the
step as well.
"""

from dataclasses import dataclass

import numpy as np
import tvm
from tvm import IRModule

_ATTRIBUTE = "octet.grids"


@dataclass(frozen=True, eq=False)
class Grid:
    """A quantised constant's scales, by which its integers come back.

    scales: float32 [channels], or [1] for the whole tensor. size: elements; total: the sum of the integers'
    magnitudes, by which a tensor is told from others."""

    scales: np.ndarray
    size: int
    total: int

    @staticmethod
    def of(steps: np.ndarray, scales: np.ndarray) -> "Grid":
        """The grid of known integers. steps: the integers, less their zero points. scales: as in the class."""
        return Grid(np.ascontiguousarray(scales, np.float32), steps.size, int(np.abs(steps.astype(np.int64)).sum()))


def with_grids(module: IRModule, grids: list[Grid]) -> IRModule:
    """The module with these grids instead of its own."""
    return (
        module.with_attr(_ATTRIBUTE, [[tvm.runtime.tensor(grid.scales), grid.size, grid.total] for grid in grids])
        if grids
        else module
    )


def grids_of(module: IRModule) -> list[Grid]:
    """The grids of the file's integers that the module carries."""
    found = module.attrs[_ATTRIBUTE] if module.attrs and _ATTRIBUTE in module.attrs else []
    return [Grid(scales.numpy(), int(size), int(total)) for scales, size, total in found]


def file_scales(weight: np.ndarray, axis: int, grids: list[Grid], most: int = 127) -> np.ndarray | None:
    """float32 scales [channels] that the file itself gives the weight: of the first of its grids (rewriting/grids.py)
    that holds exactly these integers in [-most - 1, most].
    None where canonicalisation has changed the values, or the file has none."""
    shape = [-1 if i == axis else 1 for i in range(weight.ndim)]
    for grid in grids:
        if grid.size != weight.size or grid.scales.size not in (1, weight.shape[axis]):
            continue
        scales = np.broadcast_to(grid.scales, weight.shape[axis])
        steps = np.rint(weight / scales.reshape(shape))
        if (
            np.abs(steps).sum() == grid.total
            and np.array_equal(steps * scales.reshape(shape), weight)
            and -most - 1 <= steps.min()
            and steps.max() <= most
        ):
            return scales.astype(np.float32)
    return None
