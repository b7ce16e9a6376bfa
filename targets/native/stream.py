"""The memory of one inference at a time."""

import ctypes
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..variant import WEIGHT_ALIGNMENT

if TYPE_CHECKING:
    from ..variant import TensorSpec


def aligned(shape: tuple[int, ...], dtype: np.dtype | str | type, *, zeros: bool = False) -> np.ndarray:
    """An array on a 64-byte boundary, as the kernels' vector loads want it: uninitialised, or of zeros."""
    size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    raw = (np.zeros if zeros else np.empty)(size + WEIGHT_ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % WEIGHT_ALIGNMENT
    return raw[start : start + size].view(dtype).reshape(shape)


def addresses(arrays: tuple[np.ndarray, ...] | list[np.ndarray] | np.ndarray) -> tuple[int, ...]:
    """The addresses of arrays on 64-byte boundaries, as `run_into` takes them; the arrays must outlive their use."""
    return tuple(array.ctypes.data for array in arrays)


_WORTH_A_LOOK = 1 << 14  # An input of fewer bytes is copied faster than its address is read.


def is_ready(array: np.ndarray) -> bool:
    """Whether kernels can read the array where it lies."""
    return array.flags.c_contiguous and array.ctypes.data % WEIGHT_ALIGNMENT == 0


class Stream:
    """Memory of one inference at a time. arena: its intermediates, uint8. staging, results: arrays for inputs and
    outputs. tensors: where the next run finds them."""

    def __init__(
        self,
        handle: ctypes.c_void_p,
        arena: np.ndarray,
        inputs: "Sequence[TensorSpec]",
        outputs: "Sequence[TensorSpec]",
    ) -> None:
        self.handle, self.arena = handle, arena
        self.staging = [aligned(spec.shape, spec.dtype) for spec in inputs]
        self.results = {spec.name: aligned(spec.shape, spec.dtype) for spec in outputs}
        self.places = addresses((*self.staging, *self.results.values()))
        self.tensors: Any = (ctypes.c_void_p * len(self.places))(*self.places)
        numbered = list(enumerate(self.staging))
        self._small = [
            (i, staging, staging.reshape(-1).view(np.uint8).data)
            for i, staging in numbered
            if 0 < staging.nbytes <= _WORTH_A_LOOK
        ]
        self._large = [(i, staging) for i, staging in numbered if staging.nbytes > _WORTH_A_LOOK]

    def stage(self, arrays: Sequence[np.ndarray]) -> None:
        """Small inputs are copied, which keeps Python's lock (NumPy gives it to another thread meanwhile, who is slow
        to give it back); large ones are read where they are, if they lie as kernels want them."""
        for i, staging, octets in self._small:
            if arrays[i].flags.c_contiguous:
                octets[:] = arrays[i].data.cast("B")
            else:
                staging[...] = arrays[i]
        for i, staging in self._large:
            if is_ready(arrays[i]):
                self.tensors[i] = arrays[i].ctypes.data
            else:
                staging[...] = arrays[i]
                self.tensors[i] = self.places[i]
