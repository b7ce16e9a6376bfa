"""ONNX file -> ModelProto, or one line that says why not."""

import hashlib
import re
import stat
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from ...targets.errors import UnsupportedModelError
from .declarations import LARGEST_FILE, OWN_DOMAINS, check_limits, graphs_of


def read_proto(path: Path) -> tuple[onnx.ModelProto, str, int]:
    """The decoded file, whose external data stay where they are; the SHA-256 of the file followed by its external
    files in the order of their names, each as far as tensors lie in it; the bytes of all these.

    Raises UnsupportedModelError: no such file, a folder, unreadable, not ONNX or truncated, and whatever
    declarations.py refuses.
    """
    path = Path(path)
    data = _bytes(path)
    if not data:
        raise UnsupportedModelError(f"{path}: the file is empty; give an ONNX model")
    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(data)
    except DecodeError:
        raise UnsupportedModelError(
            f"{path}: not an ONNX model, or truncated; export it again (or copy it again)"
        ) from None
    if not proto.ir_version or not proto.HasField("graph"):
        raise UnsupportedModelError(
            f"{path}: not an ONNX model (it has no graph); give a file written by an ONNX exporter"
        )
    _write_zeros(proto, path)
    _write_domain(proto, path)
    _write_opset(proto, path)
    digest = hashlib.sha256(data)
    ends = _ends(proto, path)
    for file in sorted(ends):
        _digest(file, ends[file], digest)
    return proto, digest.hexdigest(), len(data) + sum(ends.values())


def bytes_with_data(path: Path) -> int:
    """Bytes of a file and of the external data that its tensors lie in; of a file that is no network, its own alone."""
    path, proto = Path(path), onnx.ModelProto()
    try:
        proto.ParseFromString(path.read_bytes())
        beside = sum(_ends(proto, path).values())
    except (DecodeError, UnsupportedModelError):
        beside = 0
    return path.stat().st_size + beside


def _ends(proto: onnx.ModelProto, path: Path) -> dict[Path, int]:
    """{external file: bytes of it up to where its last tensor ends}."""
    ends: dict[Path, int] = {}
    for external in check_limits(proto, path):
        ends[external.file] = max(ends.get(external.file, 0), external.offset + external.size)
    return ends


_ZEROS = {
    onnx.AttributeProto.INT: ("i", 0),
    onnx.AttributeProto.FLOAT: ("f", 0.0),
    onnx.AttributeProto.STRING: ("s", b""),
}


def _write_zeros(proto: onnx.ModelProto, path: Path) -> None:
    """Writers of protobuf 3 leave out what is zero: an attribute has a type then, and no value."""
    for graph in graphs_of(proto, path):
        for node in graph.node:
            for attribute in node.attribute:
                field, zero = _ZEROS.get(attribute.type, (None, None))
                if field is not None and not attribute.HasField(field) and not attribute.HasField("ref_attr_name"):
                    setattr(attribute, field, zero)


def _write_domain(proto: onnx.ModelProto, path: Path) -> None:
    """ONNX's own operators have one name of their domain for the checker, and two in files."""
    graphs = list(graphs_of(proto, path))
    nodes = (node for graph in graphs for node in graph.node)
    versions = (entry for graph in graphs for entry in getattr(graph, "opset_import", ()))
    for each in (*nodes, *versions, *proto.opset_import):
        if each.domain in OWN_DOMAINS:
            each.domain = ""


def _write_opset(proto: onnx.ModelProto, path: Path) -> None:
    """A file without a node of ONNX's own operators may leave their version out; what it has is written out in them."""
    domains = {node.domain for graph in graphs_of(proto, path) for node in graph.node}
    named = {entry.domain for entry in proto.opset_import}
    if not OWN_DOMAINS & (domains | named):
        proto.opset_import.append(onnx.helper.make_opsetid("", onnx.defs.onnx_opset_version()))


def _digest(path: Path, size: int, digest: "hashlib._Hash") -> None:
    """The first bytes of a file, a piece at a time."""
    try:
        with open(path, "rb") as file:
            while size and (piece := file.read(min(size, 1 << 24))):
                digest.update(piece)
                size -= len(piece)
    except OSError as error:
        raise UnsupportedModelError(f"{path}: cannot be read ({error.strerror}); check its permissions") from None


def message_line(error: Exception) -> str:
    """An exception's message as one line without its final stop; extents as numbers and operators by
    name, not as TVM spells them."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    plain = re.sub(r"\b(?:R\.shape|T\.int64)\(([^()]*)\)", r"\1", lines[0] if lines else type(error).__name__)
    named = re.sub(r'\bir\.Op\(.*?name="([^"]*)".*support_level=\d+\)', r"\1", plain)
    return named.rstrip(".:")


def _bytes(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise UnsupportedModelError(f"{path}: is a folder; give the ONNX file itself")
        found = path.stat()
        if not stat.S_ISREG(found.st_mode) or found.st_size > LARGEST_FILE:
            raise UnsupportedModelError(
                f"{path}: is no file of at most 2 GiB; give the ONNX file, with larger weights as external data"
            )
        return path.read_bytes()
    except FileNotFoundError:
        raise UnsupportedModelError(f"{path}: no such file; check the path") from None
    except OSError as error:
        raise UnsupportedModelError(f"{path}: cannot be read ({error.strerror}); check its permissions") from None
