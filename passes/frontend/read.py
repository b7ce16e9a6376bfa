"""ONNX file -> ModelProto, or one line that says why not."""

import hashlib
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx.external_data_helper import ExternalDataInfo

from ...targets.errors import UnsupportedModelError


def read_proto(path) -> tuple[onnx.ModelProto, str]:
    """The decoded file, whose external data stay where they are, and the SHA-256 of the file followed by its external files in the order of their names.

    Raises UnsupportedModelError: no such file, a folder, unreadable, not ONNX or truncated, external data missing.
    """
    path = Path(path)
    data = _bytes(path)
    if not data:
        raise UnsupportedModelError(f"{path}: the file is empty; give an ONNX model")
    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(data)
    except DecodeError:
        raise UnsupportedModelError(f"{path}: not an ONNX model, or truncated; export it again (or copy it again)") from None
    if not proto.ir_version or not proto.HasField("graph"):
        raise UnsupportedModelError(f"{path}: not an ONNX model (it has no graph); give a file written by an ONNX exporter")
    digest = hashlib.sha256(data)
    for external in _external_files(proto, path):
        _digest(external, digest)
    return proto, digest.hexdigest()


def _digest(path, digest):
    """A file, a piece at a time."""
    try:
        with open(path, "rb") as file:
            while piece := file.read(1 << 24):
                digest.update(piece)
    except OSError as error:
        raise UnsupportedModelError(f"{path}: cannot be read ({error.strerror}); check its permissions") from None


def first_line(error) -> str:
    """An exception's message as one line without its final stop."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__).rstrip(".:")


def _bytes(path):
    if path.is_dir():
        raise UnsupportedModelError(f"{path}: is a folder; give the ONNX file itself")
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise UnsupportedModelError(f"{path}: no such file; check the path") from None
    except OSError as error:
        raise UnsupportedModelError(f"{path}: cannot be read ({error.strerror}); check its permissions") from None


def _external_files(proto, path):
    names = set()
    for tensor in proto.graph.initializer:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            names.add(ExternalDataInfo(tensor).location)
    missing = [name for name in sorted(names) if not (path.parent / name).is_file()]
    if missing:
        raise UnsupportedModelError(f"{path}: external data file {missing[0]!r} is missing; put it beside the model")
    return [path.parent / name for name in sorted(names)]
