"""Values that are known before the network runs, and the constants of Relax that they become."""

import hashlib
from typing import Any

import numpy as np
import onnx
from tvm import relax

from ..constants import array_of
from .weights import WIDE_FLOATS, in_float32


class KnownValues:
    """Values that are known while a network is imported, and the constants that they become.

    notes: takes in what becomes something else than the file says. A value's constant is made when somebody asks for
    it, once."""

    def __init__(self, notes: set[str]) -> None:
        self._notes = notes
        self._constants: dict[int, tuple[np.ndarray, relax.Expr]] = {}  # Maps an id to (value, what it became).
        # Maps a digest to a value of a body, as every trip of a loop has the same weights.
        self._shared: dict[tuple[Any, ...], np.ndarray] = {}

    def __contains__(self, value: np.ndarray) -> bool:
        return id(value) in self._constants

    def known(self, constant: "relax.Expr") -> np.ndarray:
        """The value of a constant that somebody else made."""
        value = array_of(constant)
        self._constants[id(value)] = (value, constant)
        return value

    def once(self, value: np.ndarray) -> np.ndarray:
        """One array for all arrays of the same content, so that constants are kept once."""
        key = (str(value.dtype), value.shape, hashlib.sha256(np.ascontiguousarray(value).data).digest())
        return self._shared.setdefault(key, value)

    def expression(self, value: np.ndarray) -> relax.Expr:
        """A value as a constant, floats of other widths as float32."""
        if id(value) not in self._constants:
            if str(value.dtype) in WIDE_FLOATS and value.size > 1:
                self.note_width(value.dtype)
            made = in_float32(value)
            self._constants[id(value)] = (
                value,
                relax.const(made, str(made.dtype)),
            )  # Without a dtype TVM narrows int64 to int32.
        return self._constants[id(value)][1]

    def note_type(self, elem_type: int) -> bool:
        """Whether ONNX's type of this number is a float that is computed in float32; notes it."""
        wide = elem_type in (onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16, onnx.TensorProto.DOUBLE)
        if wide:
            self.note_width(onnx.helper.tensor_dtype_to_np_dtype(elem_type))
        return wide

    def note_width(self, dtype: np.dtype) -> None:
        """Notes for the report that floats of another width are computed in float32."""
        self._notes.add(f"computed in float32 where the file says {dtype}")
