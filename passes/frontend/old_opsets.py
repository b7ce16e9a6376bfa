"""Networks of old opsets, through onnx's version converter; what it gives another meaning is put right, or refused."""

from pathlib import Path

import numpy as np
import onnx

from ...targets.errors import UnsupportedModelError
from .checks import OLDEST_OPSET, describe, opset_of
from .declarations import OWN_DOMAINS, graphs_of
from .read import message_line


def convert_opset(proto: onnx.ModelProto, path: Path) -> tuple[onnx.ModelProto, tuple[str, ...]]:
    """(the network in an opset that is imported, notes): old ones go through onnx's version converter. Raises
    UnsupportedModelError where it fails."""
    version = opset_of(proto, path)
    if version >= OLDEST_OPSET:
        return proto, ()
    try:
        converted = onnx.version_converter.convert_version(proto, OLDEST_OPSET)
    except Exception as error:  # The C++ converter raises bare exceptions.
        reason = message_line(error).rpartition(" failed: ")[2]  # An assertion of the converter begins with its place.
        raise UnsupportedModelError(
            f"{path}: opset {version} cannot be converted to {OLDEST_OPSET}: {reason}; export with opset "
            f"{OLDEST_OPSET} or newer"
        ) from None
    for old, new in zip(proto.graph.input, converted.graph.input):
        if old.type != new.type:  # Scan of opset 8 has a batch, which the converter takes away.
            raise UnsupportedModelError(
                f"{path}: opset {version} cannot be converted to {OLDEST_OPSET}: input {old.name!r} would have another "
                f"shape; export with opset {OLDEST_OPSET} or newer"
            )
    _place_as_before_11(converted, path)
    return converted, (f"opset {version} was converted to {OLDEST_OPSET}",)


def _place_as_before_11(proto: onnx.ModelProto, path: Path) -> None:
    """Resize of opset 10, and Upsample, read at x / scale, and the nearest place is the one below, or above where the
    result is smaller, as ONNX Runtime and ONNX's evaluator have it. onnx's converter leaves this to the defaults of
    opset 11, which read elsewhere. Raises UnsupportedModelError for one that is larger and smaller."""
    graphs = [graph for graph in graphs_of(proto, path) if isinstance(graph, onnx.GraphProto)]
    known = {tensor.name: tensor for graph in graphs for tensor in graph.initializer}
    nodes = [node for graph in graphs for node in graph.node]
    known |= {
        node.output[0]: attribute.t
        for node in nodes
        for attribute in node.attribute
        if node.op_type == "Constant" and attribute.HasField("t")
    }
    for node in nodes:
        if node.op_type == "Resize" and node.domain in OWN_DOMAINS:
            scales = onnx.numpy_helper.to_array(known[node.input[2]]) if node.input[2] in known else np.ones(1)
            if (scales < 1).any() and (scales > 1).any() and _is_nearest(node):
                raise UnsupportedModelError(
                    f"{path}: {describe(node)} makes one axis larger and one smaller, by the rule of opset 10; export "
                    f"with opset {OLDEST_OPSET} or newer"
                )
            nearest = "ceil" if (scales < 1).any() else "floor"
            places = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": nearest}
            node.attribute.extend(onnx.helper.make_attribute(name, mode) for name, mode in places.items())


def _is_nearest(node: onnx.NodeProto) -> bool:
    return all(each.s == b"nearest" for each in node.attribute if each.name == "mode")
