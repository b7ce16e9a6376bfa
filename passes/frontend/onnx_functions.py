"""Operators that ONNX defines by others, where the importer has none: their definition is written out in the graph."""

from collections.abc import Iterable

import numpy as np
import onnx
from onnx import defs, helper
from tvm import relax

from .fold import DRAWS
from .weights import in_float32

# The definition of these says more to the passes than TVM's operator of that name.
WRITTEN_OUT = frozenset({"AffineGrid", "Attention", "MeanVarianceNormalization"})


def onnx_type_of(value: np.ndarray | relax.Expr, extents: list[int]) -> onnx.TypeProto:
    """ONNX's type of a known value or of an expression; floats are computed in float32."""
    dtype = in_float32(value).dtype if isinstance(value, np.ndarray) else np.dtype(str(value.ty.dtype))
    return helper.make_tensor_type_proto(helper.np_dtype_to_tensor_dtype(dtype), extents)


def definition(
    node: onnx.NodeProto, opset: int, types: list[onnx.TypeProto | None]
) -> tuple[onnx.GraphProto, int] | None:
    """(the nodes that stand for this one, inputs and outputs as far as the node names them; their opset), or None for
    an operator that is none's composition.

    types: a TypeProto per input, None where it is left out."""
    try:
        schema = defs.get_schema(node.op_type, opset, node.domain)
    except defs.SchemaError:
        return None
    plain, written = onnx.NodeProto(), None
    plain.CopyFrom(node)
    plain.domain = ""
    encoded = [b"" if each is None else each.SerializeToString() for each in types]
    if schema.has_context_dependent_function:
        version = _newest(schema.context_dependent_function_opset_versions, opset)
        written = (
            schema.get_context_dependent_function_with_opset_version(version, plain.SerializeToString(), encoded)
            if version
            else None
        )
    elif schema.has_function:
        version = _newest(schema.function_opset_versions, opset)
        written = schema.get_function_with_opset_version(version) if version else None
    if not written:
        return None
    function = onnx.FunctionProto.FromString(written) if isinstance(written, bytes) else written
    if any(inner.op_type in DRAWS for inner in function.node):
        return None  # Left whole, it is refused by its own name.
    return _written_for(node, function, schema), max(entry.version for entry in function.opset_import)


def _newest(versions: list[int], opset: int) -> int | None:
    return max((version for version in versions if version <= opset), default=None)


def _written_for(node: onnx.NodeProto, function: onnx.FunctionProto, schema: onnx.defs.OpSchema) -> onnx.GraphProto:
    """The function as a graph: attributes have the node's values or their defaults, inputs that the node leaves out
    are left out inside."""
    given = {
        name: attribute.default_value for name, attribute in schema.attributes.items() if attribute.default_value.type
    }
    given |= {attribute.name: attribute for attribute in (*function.attribute_proto, *node.attribute)}
    there = len(node.input)
    absent = {name for i, name in enumerate(function.input) if i >= there or not node.input[i]}
    nodes = _with_attributes(function.node, given, absent, node.name or node.output[0])
    inputs = [onnx.ValueInfoProto(name=name) for name in function.input if name not in absent]
    return helper.make_graph(
        nodes,
        node.op_type,
        inputs,
        [onnx.ValueInfoProto(name=name) for name, wanted in zip(function.output, node.output) if wanted],
    )


def _with_attributes(
    nodes: Iterable[onnx.NodeProto], given: dict[str, onnx.AttributeProto], absent: set[str], prefix: str
) -> list[onnx.NodeProto]:
    made = []
    for inner in nodes:
        copy = onnx.NodeProto()
        copy.CopyFrom(inner)
        copy.name = f"{prefix}.{inner.output[0]}"
        del copy.input[:], copy.attribute[:]
        copy.input.extend("" if name in absent else name for name in inner.input)
        for attribute in inner.attribute:
            value = onnx.AttributeProto()
            if attribute.ref_attr_name:
                if attribute.ref_attr_name not in given:
                    continue
                value.CopyFrom(given[attribute.ref_attr_name])
                value.name = attribute.name
            else:
                value.CopyFrom(attribute)
            if value.HasField("g"):
                written = _with_attributes(value.g.node, given, absent, prefix)
                del value.g.node[:]
                value.g.node.extend(written)
            copy.attribute.append(value)
        made.append(copy)
    return made
