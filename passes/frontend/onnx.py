"""ONNX file -> Model: read, check, fix the batch, import."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onnx import inliner

from ...targets.batches import batch_of
from ...targets.errors import UnsupportedModelError
from ...targets.variant import TensorSpec
from ..exclusive import exclusive
from ..ops import is_op
from ..running import NamedPass, apply
from .checks import check_proto, check_shapes, opset_of
from .contributed.operators import put_into_domain
from .declarations import check_extents, check_functions, graphs_of
from .importer import import_graph
from .model import Model
from .old_opsets import convert_opset
from .order_nodes import drop_dead_nodes, drop_unread_results, sort_nodes
from .read import message_line, read_proto
from .shapes.dimensions import Said
from .shapes.several import one_model, said_of_each
from .signature import fix_inputs, input_specs, misfit, output_axes, with_counts

if TYPE_CHECKING:
    import os

    import numpy as np
    import onnx
    import tvm


@exclusive
def load_onnx(
    path: "str | os.PathLike[str]",
    batch: int | str | None = None,
    shapes: Mapping[str, Any] | None = None,
    dims: Mapping[str, Any] | None = None,
    values: Mapping[str, Any] | None = None,
    data: "dict[str, np.ndarray | tuple[int, ...]] | None" = None,
    pads: Mapping[str, float] | None = None,
) -> Model:
    """The fp32 network of an ONNX file in Relax, with static shapes.

    batch: extent of the batch where it is symbolic; None means 1, "none" that a sample has all axes of an input.
    shapes: {input: its extents}; "batch" in place of one says that the samples lie along that axis. dims: {symbolic
    dimension: extent, or "batch"}. Several extents of a dimension, or several shapes of an input, in a list: the Model
    is of the one that the data have, else of the largest, and the rest are its `others`. values: {input: the value that
    it always has}, which makes it a constant.
    data: {input: array, or its shape}, samples on the first axis, for the dimensions that shapes and dims leave open.
    pads: of several shapes, {input: value with which sessions pad its arrays to the next shape}: for whoever knows that
    it does not change results.
    Raises UnsupportedModelError, one line with the file, the node or tensor, and what to do.
    """
    found, path = _shapes(data), Path(path)
    said = [Said(batch, *one, found) for one in said_of_each(shapes or {}, dims or {}, path)]

    def imported(path: Path) -> Model:
        return one_model([_imported(path, one, values or {}) for one in said], found, pads or {}, path)

    model: Model = apply(NamedPass("Import", imported), path)
    return model


def _shapes(data: Mapping[str, Any] | None) -> dict[str, tuple[int, ...]]:
    return {name: tuple(getattr(array, "shape", array)) for name, array in (data or {}).items()}


def _imported(path: Path, said: Said, values: Mapping[str, Any]) -> Model:
    proto, sha256, size = read_proto(path)
    proto, converted = convert_opset(proto, path)
    proto = _inline_functions(proto, path)
    put_into_domain(proto)
    sort_nodes(proto.graph, path)
    check_proto(proto, path)
    drop_dead_nodes(proto.graph)
    drop_unread_results(proto.graph)
    fix_inputs(proto.graph, values, path)
    inputs, symbols, notes = input_specs(proto.graph, said, path)
    module, widened, counted = import_graph(proto, inputs, opset_of(proto, path), path)
    check_shapes(proto, path)
    check_extents(module, path, misfit(proto.graph, inputs))
    if any(spec.batch_axis != 0 for spec in inputs):
        module = module.with_attr(
            "octet.batch_axes", [-1 if spec.batch_axis is None else spec.batch_axis for spec in inputs]
        )
    types, axes = module["main"].ret_ty.fields, output_axes(proto, inputs, symbols)
    outputs = tuple(
        TensorSpec(
            value.name,
            tuple(int(extent) for extent in ty.shape.values),
            str(ty.dtype),
            axis if axis < len(ty.shape.values) else 0,
        )
        for value, ty, axis in zip(proto.graph.output, types, axes)
    )
    outputs = with_counts(outputs, counted)
    return Model(
        module,
        inputs,
        outputs,
        Path(path).stem,
        sha256,
        batch_of(inputs),
        (*converted, *notes, *widened),
        dict(values),
        _has_quantizers(module),
        file_bytes=size,
    )


def _has_quantizers(module: "tvm.IRModule") -> bool:
    return any(is_op(binding.value, "relax.quantize") for binding in module["main"].body.blocks[0].bindings)


def _inline_functions(proto: "onnx.ModelProto", path: Path) -> "onnx.ModelProto":
    """Functions defined in the file itself become plain nodes."""
    if not proto.functions:
        return proto
    check_functions(proto, path)
    _write_attributes(proto, path)
    try:
        return inliner.inline_local_functions(proto)
    except Exception as error:  # The C++ inliner raises bare exceptions.
        reason = message_line(error)
        raise UnsupportedModelError(
            f"{path}: cannot inline the functions defined in the file: {reason}; export without functions"
        ) from None


def _write_attributes(proto: "onnx.ModelProto", path: Path) -> None:
    """The inliner leaves out what a function's attributes are where its call does not say so."""
    defaults = {(each.domain, each.name): each.attribute_proto for each in proto.functions}
    for nodes in [*(graph.node for graph in graphs_of(proto, path)), *(each.node for each in proto.functions)]:
        for node in nodes:
            said = {attribute.name for attribute in node.attribute}
            missing = [each for each in defaults.get((node.domain, node.op_type), ()) if each.name not in said]
            node.attribute.extend(missing)
