"""What a file declares of one tensor: exactly the bytes that its type and shape say, in the file or in a regular file
inside the model's folder."""

import math
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onnx import TensorProto

from ...targets.errors import UnsupportedModelError
from ...targets.reading.limits import limit, more
from .quantized.narrow import PACKED, bytes_of

if TYPE_CHECKING:
    import onnx

FIELDS = {  # The values of a type stand in this field if they are not raw.
    **dict.fromkeys(
        (
            TensorProto.INT8,
            TensorProto.INT16,
            TensorProto.INT32,
            TensorProto.UINT8,
            TensorProto.UINT16,
            TensorProto.BOOL,
            TensorProto.FLOAT16,
            TensorProto.BFLOAT16,
        ),
        "int32_data",
    ),
    TensorProto.FLOAT: "float_data",
    TensorProto.DOUBLE: "double_data",
    TensorProto.INT64: "int64_data",
    TensorProto.UINT32: "uint64_data",
    TensorProto.UINT64: "uint64_data",
}


@dataclass(frozen=True)
class External:
    """Where a tensor's bytes lie. file: an existing regular file inside the model's folder; offset, size: in bytes,
    inside the file."""

    file: Path
    offset: int
    size: int


def check_tensor(tensor: "onnx.TensorProto", path: Path) -> External | None:
    """Where a tensor's data lie outside of the file, None where they are within. Raises UnsupportedModelError for an
    element type that is not read, and for data of another length than its shape has."""
    where = f"{path}: weight {tensor.name[:200]!r}"
    if tensor.data_type not in FIELDS and tensor.data_type not in PACKED:
        raise UnsupportedModelError(
            f"{where} has element type {type_name(tensor.data_type)}; export it in float32 or an integer of 8 to 64 "
            "bits"
        )
    if any(not 0 <= extent < 1 << 31 for extent in tensor.dims) or len(tensor.dims) > 16:
        raise UnsupportedModelError(f"{where} has extents {list(tensor.dims)[:17]}; export it again")
    count = math.prod(tensor.dims)
    size = bytes_of(count, tensor.data_type)
    if size > limit("weight"):
        raise UnsupportedModelError(
            f"{where} has extents {list(tensor.dims)}, {size} bytes; at most {limit('weight')} are read; "
            f"{more('weight')}"
        )
    if tensor.HasField("segment"):
        raise UnsupportedModelError(f"{where} is a segment of a tensor; export it whole")
    if tensor.data_location == TensorProto.EXTERNAL:
        return _external(tensor, size, path, where)
    packed = tensor.data_type in PACKED  # A value of the field then holds two.
    held = (
        len(tensor.raw_data)
        if tensor.HasField("raw_data")
        else len(tensor.int32_data if packed else getattr(tensor, FIELDS[tensor.data_type]))
    )
    wanted, unit = (size, "bytes") if tensor.HasField("raw_data") else (size if packed else count, "values")
    if held != wanted:
        raise UnsupportedModelError(
            f"{where} holds {held} {unit} where {type_name(tensor.data_type)} {list(tensor.dims)} is declared; export "
            "it again (or copy it again)"
        )
    return None


def _external(tensor: "onnx.TensorProto", size: int, path: Path, where: str) -> External:
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    folder = path.resolve().parent
    try:
        file = (folder / location).resolve()
    except (OSError, ValueError, RuntimeError):  # The name has a null character, or links go in a circle.
        file = folder.parent
    if not location or os.path.isabs(location) or not file.is_relative_to(folder):
        raise UnsupportedModelError(
            f"{where} has its data in {location[:200]!a}, which is not inside the model's folder; put them beside the "
            "model"
        )
    try:
        found = os.stat(file)
    except OSError:
        raise UnsupportedModelError(
            f"{path}: external data file {location[:200]!r} is missing; put it beside the model"
        ) from None
    if not stat.S_ISREG(found.st_mode):
        raise UnsupportedModelError(
            f"{where} has its data in {location!r}, which is no regular file; put them beside the model"
        )
    offset, length = (
        _number(entries.get(key), default, where, key) for key, default in (("offset", 0), ("length", size))
    )
    if length != size:
        raise UnsupportedModelError(
            f"{where} has {length} bytes of external data where {type_name(tensor.data_type)} {list(tensor.dims)} is "
            "declared; export it again"
        )
    if offset + length > found.st_size:
        raise UnsupportedModelError(
            f"{where} ends at {offset + length} of {location!r}, which has {found.st_size} bytes; copy the data file "
            "again"
        )
    return External(file, offset, size)


def _number(text: Any, default: int, where: str, key: str) -> int:
    if text is None or text == "":
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise UnsupportedModelError(f"{where} has external data with {key} {text[:40]!a}; export it again")
    return int(text)


def type_name(number: int) -> str:
    """ONNX's name of an element type, for messages."""
    return TensorProto.DataType.Name(number).lower() if number in TensorProto.DataType.values() else f"number {number}"
