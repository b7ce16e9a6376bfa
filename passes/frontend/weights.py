"""The weights of an ONNX file as arrays: those that lie in files beside it are mapped, so that memory does not grow
with them."""

import math
from pathlib import Path

import ml_dtypes  # noqa: F401 - gives NumPy bfloat16
import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx.external_data_helper import ExternalDataInfo

from ...targets.errors import UnsupportedModelError
from .quantized.narrow import PACKED, bytes_of, unpacked

WIDE_FLOATS = frozenset({"float16", "bfloat16", "float64"})  # Floats of these types are computed in float32.
_LARGE = 1 << 20  # The message's own copy of a tensor of more bytes is freed once it is read.


def array_in_file(tensor: onnx.TensorProto, folder: Path) -> np.ndarray:
    """The values; an external tensor is a read-only map of its file."""
    if tensor.data_location != onnx.TensorProto.EXTERNAL:
        array = numpy_helper.to_array(tensor)
        if array.nbytes > _LARGE:
            tensor.ClearField("raw_data")
        return array
    info, dtype = ExternalDataInfo(tensor), helper.tensor_dtype_to_np_dtype(tensor.data_type)
    shape = tuple(tensor.dims)
    if not math.prod(shape):
        return np.zeros(shape, dtype)
    try:
        if tensor.data_type in PACKED:
            return unpacked(
                np.memmap(
                    folder / info.location,
                    np.uint8,
                    "r",
                    info.offset or 0,
                    bytes_of(math.prod(shape), tensor.data_type),
                ),
                shape,
                tensor.data_type,
            )
        return np.memmap(folder / info.location, dtype, "r", info.offset or 0, shape)
    except (OSError, ValueError) as error:
        raise UnsupportedModelError(
            f"{folder / info.location}: does not hold tensor {tensor.name!r} ({error}); put the data file of this "
            "model there"
        ) from None


def in_float32(array: np.ndarray) -> np.ndarray:
    """The array with floats of other widths converted to float32."""
    if str(array.dtype) not in WIDE_FLOATS:
        return array
    # A float64 beyond float32 becomes an infinity, which is refused where it is a weight.
    with np.errstate(over="ignore"):
        return array.astype(np.float32)
