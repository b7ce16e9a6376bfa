"""What cannot be imported, said before the import: one line with the file, the node or tensor, and the remedy."""

from pathlib import Path

import numpy as np
import onnx
from onnx import helper
from tvm import relax, tirx

from ...targets.errors import UnsupportedModelError
from .contributed.body import BEFORE
from .contributed.operators import DOMAIN, OPERATORS
from .declarations import OWN_DOMAINS
from .quantized.coded_converters import CONVERTERS as CODED
from .read import message_line
from .tabular import CONVERTERS as TABULAR, DOMAIN as TABLES

OLDEST_OPSET = 11
_QUANTIZED = {"MatMulInteger16", "QAttention", "QEmbedLayerNormalization"}
_DTYPES = ("float32", "bool", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)))
_PRODUCTS = {"Conv", "ConvTranspose", "Gemm", "MatMul"}


def opset_of(proto: onnx.ModelProto, path: Path) -> int:
    """The version of ONNX's own operator set. Raises UnsupportedModelError when it is absent or newer than the
    installed onnx."""
    versions = [entry.version for entry in proto.opset_import if entry.domain in OWN_DOMAINS]
    newest = onnx.defs.onnx_opset_version()
    if not versions:
        raise UnsupportedModelError(
            f"{path}: names no ONNX operator set; export it again with opset {OLDEST_OPSET} to {newest}"
        )
    version = max(versions)
    if version > newest:
        raise UnsupportedModelError(
            f"{path}: opset {version} is newer than the installed onnx ({newest}); export with an older opset or "
            "upgrade onnx"
        )
    return version


def check_proto(proto: onnx.ModelProto, path: Path) -> None:
    """Raises UnsupportedModelError for a broken graph, foreign or already quantised operators, and sparse weights."""
    if not proto.graph.node:
        raise UnsupportedModelError(f"{path}: the graph has no nodes; give a trained network")
    if not proto.graph.output:
        raise UnsupportedModelError(f"{path}: the graph has no outputs; export the network with its results as outputs")
    for node in proto.graph.node:
        _check_node(node, path)
    if proto.graph.sparse_initializer:
        name = proto.graph.sparse_initializer[0].values.name
        raise UnsupportedModelError(f"{path}: weight {name!r} is sparse; export it as a dense tensor")
    # The checker wants a type and a shape that exporters leave out; the importer infers both.
    untyped = []
    for value in proto.graph.output:
        if value.type.WhichOneof("value") in (None, "tensor_type"):
            value.type.tensor_type.shape.SetInParent()
            if not value.type.tensor_type.elem_type:
                untyped.append(value)
                value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    try:
        onnx.checker.check_model(_without_external(proto))
    except onnx.checker.ValidationError as error:
        raise UnsupportedModelError(
            f"{path}: not a valid ONNX graph: {message_line(error)}; check the export with onnx.checker"
        ) from None
    except ValueError:
        pass  # The checker cannot take what is larger than a protobuf message may be; the importer can.
    for value in untyped:
        value.type.tensor_type.ClearField("elem_type")


def check_shapes(proto: onnx.ModelProto, path: Path) -> None:
    """The rest of onnx.checker's full check: every operator's inputs and attributes make a result. Types and shapes
    that the file itself declares for results are left out, as exporters leave them empty or wrong. Raises
    UnsupportedModelError."""
    bare = _without_external(proto)
    if bare is proto:
        bare = onnx.ModelProto()
        bare.CopyFrom(proto)
    del bare.graph.value_info[:]
    _write_defaults(bare)
    for value in bare.graph.output:
        value.ClearField("type")
    try:
        onnx.shape_inference.infer_shapes(bare, check_type=True, strict_mode=True)
    except onnx.shape_inference.InferenceError as error:
        if "tensor(bfloat16)" in str(error):  # ONNX has bfloat16 for few operators, but the importer makes it float32.
            return
        raise UnsupportedModelError(
            f"{path}: not a valid ONNX graph: {message_line(error)}; check the export with onnx.checker"
        ) from None
    except ValueError:
        pass  # The file is larger than a protobuf message may be.


def _write_defaults(proto: onnx.ModelProto) -> None:
    """onnx infers the results of a node that stands for others from those, in which the attributes that the node leaves
    out have no value."""
    opset = max((entry.version for entry in proto.opset_import if entry.domain in OWN_DOMAINS), default=None)
    for node in proto.graph.node:
        if opset is None or node.domain not in OWN_DOMAINS or not onnx.defs.has(node.op_type, node.domain):
            continue
        schema, given = onnx.defs.get_schema(node.op_type, opset, ""), {attribute.name for attribute in node.attribute}
        if schema.has_function:
            node.attribute.extend(
                each.default_value
                for name, each in schema.attributes.items()
                if name not in given and each.default_value.type
            )


def _without_external(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph with what lies in other files as inputs: the checker would look for the files elsewhere."""
    if not any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in proto.graph.initializer):
        return proto
    light = onnx.ModelProto()
    light.CopyFrom(proto)
    inputs, kept = {value.name for value in light.graph.input}, []
    for tensor in light.graph.initializer:
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            kept.append(tensor)
        elif tensor.name not in inputs:
            light.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims)))
    kept = [onnx.TensorProto.FromString(tensor.SerializeToString()) for tensor in kept]
    del light.graph.initializer[:]
    light.graph.initializer.extend(kept)
    return light


def weight_roles(graph: onnx.GraphProto) -> dict[str, str]:
    """{name: "multiplied" where a convolution or product multiplies with it, "chosen" for what Where chooses from}."""
    roles = {name: "chosen" for node in graph.node if node.op_type == "Where" for name in node.input[1:]}
    products = [node for node in graph.node if node.op_type in _PRODUCTS]
    return roles | {
        name: "multiplied"
        for node in products
        for name in node.input[: 2 if node.op_type in ("Gemm", "MatMul") else None]
    }


def check_finite(name: str, array: np.ndarray, path: Path, role: str = "") -> None:
    """Weights must be numbers; -inf is one where nothing is multiplied with it (attention masks), a lone infinity is a
    bound of something, and Where may choose nothing but NaN for places that have no answer. role: of weight_roles."""
    if not np.issubdtype(array.dtype, np.floating):
        return
    multiplied = role == "multiplied"
    if array.size <= 1 and not multiplied or role == "chosen" and not np.isfinite(array).any():
        return
    if not np.isfinite(array).all() if multiplied else np.isnan(array).any() or np.isposinf(array).any():
        raise UnsupportedModelError(f"{path}: weight {name!r} holds NaN or infinity; train or export the network again")


def check_result(ty: relax.Type) -> None:
    """Raises UnsupportedModelError for what a node made that is not a tensor of a static shape and of a type that is
    computed here."""
    if not isinstance(ty, relax.TensorType):
        raise UnsupportedModelError("makes a value that is not a tensor; export the network without it")
    if not isinstance(ty.shape, relax.ShapeExpr) or not all(isinstance(d, tirx.IntImm) for d in ty.shape.values):
        raise UnsupportedModelError("has an output whose shape is known only at run time; export with static shapes")
    if str(ty.dtype) not in _DTYPES:
        raise UnsupportedModelError(f"computes in {ty.dtype}; export the network in float32")


def describe(node: onnx.NodeProto) -> str:
    """A node as messages name it: operator and name, or its first output where the exporter left the name out."""
    return f"{node.op_type} node {node.name or (node.output[0] if node.output else '?')!r}"


def _check_node(node: onnx.NodeProto, path: Path) -> None:
    if any(attribute.type == onnx.AttributeProto.SPARSE_TENSOR for attribute in node.attribute):
        raise UnsupportedModelError(f"{path}: {describe(node)} is sparse; export it as a dense tensor")
    contributed = node.domain == DOMAIN
    if contributed and node.op_type in CODED or node.domain == TABLES and node.op_type in TABULAR:
        return
    if node.op_type in _QUANTIZED or node.op_type.startswith("QLinear") and node.op_type not in CODED:
        raise UnsupportedModelError(
            f"{path}: {describe(node)}: is a quantised operator that is not known; give the fp32 network it was made "
            "from"
        )
    if node.domain not in OWN_DOMAINS and not (contributed and node.op_type in OPERATORS):
        optimised = node.domain.startswith(DOMAIN)
        what = BEFORE if optimised else "export with ONNX's own operators"
        raise UnsupportedModelError(f"{path}: {describe(node)} of domain {node.domain!r} is not supported; {what}")
