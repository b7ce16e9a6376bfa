"""ONNX file -> Model: read, check, fix the batch, import."""

from pathlib import Path

from onnx import inliner

from ...targets.errors import UnsupportedModelError
from .checks import check_proto, opset_of
from .importer import import_graph
from .model import Model, TensorSpec
from .read import first_line, read_proto
from .signature import input_specs


def load_onnx(path, batch: int | None = None) -> Model:
    """The fp32 network of an ONNX file (opset 11 or newer) in Relax, with static shapes.

    batch: extent of a symbolic first dimension of the inputs; None means 1.
    Raises UnsupportedModelError, one line with the file, the node or tensor, and what to do.
    """
    proto, sha256 = read_proto(path)
    opset = opset_of(proto, path)
    proto = _inline_functions(proto, path)
    check_proto(proto, path)
    inputs = input_specs(proto.graph, batch, path)
    module = import_graph(proto, inputs, opset, path)
    fields = module["main"].ret_ty.fields
    outputs = tuple(
        TensorSpec(value.name, [int(extent) for extent in ty.shape.values], str(ty.dtype)) for value, ty in zip(proto.graph.output, fields)
    )
    extent = inputs[0].shape[0] if inputs[0].shape else 1
    return Model(module, inputs, outputs, Path(path).stem, sha256, extent)


def _inline_functions(proto, path):
    """Functions defined in the file itself become plain nodes."""
    if not proto.functions:
        return proto
    try:
        return inliner.inline_local_functions(proto)
    except Exception as error:  # the C++ inliner raises bare exceptions
        reason = first_line(error)
        raise UnsupportedModelError(f"{path}: cannot inline the functions defined in the file: {reason}; export without functions") from None
