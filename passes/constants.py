"""Constants of Relax as arrays of NumPy and the other way, without a copy: every pass looks at the weights, and copying
them was most of what the passes of a large network took."""

import numpy as np
import tvm
from tvm import relax

_SMALL = 1 << 12  # Of fewer elements a copy is quicker than sharing memory.


def array_of(constant: tvm.ir.GenericConst) -> np.ndarray:
    """The value of a Relax constant. Not to be written to: where it is large it is the constant's own memory."""
    value = constant.value
    if value.ndim == 0 or int(np.prod(value.shape)) < _SMALL:
        return value.numpy()
    found = np.from_dlpack(value)
    found.flags.writeable = False
    return found


def as_constant(value: np.ndarray) -> tvm.ir.GenericConst:
    """A Relax constant of that value and dtype. The array becomes its memory where it can, so nobody may write to it
    any more."""
    value = np.asarray(value)
    if value.size < _SMALL or not value.flags.c_contiguous or not value.flags.writeable or value.ctypes.data % 64:
        return relax.const(np.ascontiguousarray(value).reshape(value.shape), str(value.dtype))
    return relax.const(tvm.runtime.from_dlpack(value))
