"""What a model file may declare, checked once and before anything that it points to is read: tensors with exactly the
bytes that their type and shape say, external data in regular files inside the model's folder, names that can be
printed, extents that a machine can hold, attributes that mean something."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import onnx
from onnx import TensorProto

from ...targets.errors import UnsupportedModelError
from ...targets.reading.limits import limit, more
from .declared import FIELDS, External, check_tensor, type_name

if TYPE_CHECKING:
    import tvm

OWN_DOMAINS = {"", "ai.onnx"}  # Both names are of ONNX's own operators.
LARGEST_FILE = (1 << 31) + (1 << 20)  # A protobuf message holds less than 2 GiB, so no file has more bytes.
# A name has at most so many characters, and graphs lie within each other at most so deep.
_LONGEST_NAME, _DEEPEST = 1024, 8
_POSITIVE, _NOT_NEGATIVE = (
    {"kernel_shape", "strides", "dilations", "group", "num_groups", "blocksize"},
    {"pads", "output_padding"},
)
# Bounds may be infinite, what is missing is NaN, and a constant is looked at as weights are.
_ANY_FLOAT = {"Clip", "Pad", "Imputer", "Constant"}
_AUTO_PADS = {b"", b"NOTSET", b"VALID", b"SAME_UPPER", b"SAME_LOWER"}
_WINDOWS = {
    "Conv",
    "ConvTranspose",
    "MaxPool",
    "AveragePool",
    "LpPool",
    "DepthToSpace",
    "SpaceToDepth",
    "GroupNormalization",
}  # Only these operators have the attributes as they are checked here.


def check_limits(proto: onnx.ModelProto, path: Path) -> list[External]:
    """What lies in other files, in the order of the model. Raises UnsupportedModelError, one line with the tensor,
    value or node."""
    nodes, found = 0, []
    for graph in graphs_of(proto, path):
        nodes += len(graph.node)
        if nodes > limit("nodes"):
            raise UnsupportedModelError(
                f"{path}: has more than {limit('nodes')} nodes; export one network, not its unrolled training, or "
                f"{more('nodes')}"
            )
        _check_texts(graph, path)
        _check_values(graph, path, inner=graph is not proto.graph)
        weights = {tensor.name: list(tensor.dims) for tensor in getattr(graph, "initializer", ())}
        for node in graph.node:
            _check_attributes(node, weights.get(node.input[1]) if len(node.input) > 1 else None, path)
    for tensor in _tensors(proto, path):
        external = check_tensor(tensor, path)
        if external is not None:
            found.append(external)
    return found


def check_functions(proto: onnx.ModelProto, path: Path) -> None:
    """Raises UnsupportedModelError where the functions of the file, written out, are more nodes than a network has:
    each may call another one twice."""
    functions, known = {(one.domain, one.name): one for one in proto.functions}, {}

    def size(graph: onnx.FunctionProto | onnx.GraphProto) -> int:
        inner = [
            one
            for node in graph.node
            for attribute in node.attribute
            for one in (*([attribute.g] if attribute.HasField("g") else ()), *attribute.graphs)
        ]
        return sum(called((node.domain, node.op_type)) for node in graph.node) + sum(map(size, inner))

    def called(name: tuple[str, str]) -> int:
        if name not in functions:
            return 1
        if name not in known:
            known[name] = 0  # A function that calls itself is for the inliner to refuse.
            known[name] = size(functions[name])
        return known[name]

    try:
        nodes: float = size(proto.graph)
    except RecursionError:
        nodes = math.inf
    if nodes > limit("nodes"):
        raise UnsupportedModelError(
            f"{path}: its functions, written out, are more than {limit('nodes')} nodes; export one network, not its "
            f"unrolled training, or {more('nodes')}"
        )


def check_extents(module: "tvm.IRModule", path: Path, remedy: str) -> None:
    """The same for what the network computes: an intermediate result of 2^62 elements comes from small weights. remedy:
    what to do about shapes that do not fit."""
    for block in module["main"].body.blocks:
        for binding in block.bindings:
            ty = binding.var.ty
            extents = [int(extent) for extent in getattr(getattr(ty, "shape", None), "values", ())]
            if min(extents, default=0) < 0 or math.prod(extents) > limit("weight"):
                advice = remedy if min(extents) < 0 else f"{remedy}, or {more('weight')}"
                raise UnsupportedModelError(
                    f"{path}: the result of {binding.var.name!r} has extents {extents}; {advice}"
                )


def graphs_of(proto: onnx.ModelProto, path: Path) -> Iterator[onnx.GraphProto]:
    """All graphs and functions, those within nodes too. Raises UnsupportedModelError where they lie too deep in each
    other."""
    waiting = [(proto.graph, 0), *((function, 0) for function in proto.functions)]
    while waiting:
        graph, depth = waiting.pop()
        if depth > _DEEPEST:
            raise UnsupportedModelError(
                f"{path}: has graphs more than {_DEEPEST} deep within each other; export it without nested control flow"
            )
        yield graph
        waiting += [
            (inner, depth + 1)
            for node in graph.node
            for attribute in node.attribute
            for inner in (*([attribute.g] if attribute.HasField("g") else ()), *attribute.graphs)
        ]


def _tensors(proto: onnx.ModelProto, path: Path) -> Iterator[TensorProto]:
    for graph in graphs_of(proto, path):
        yield from getattr(graph, "initializer", ())
        for node in graph.node:
            for attribute in node.attribute:
                if attribute.HasField("t"):
                    yield attribute.t
                yield from attribute.tensors


def _check_texts(graph: onnx.GraphProto, path: Path) -> None:
    """Protobuf hands out bytes where a text is no UTF-8: names that nothing would be found by."""
    texts = [
        text
        for node in graph.node
        for text in (
            node.op_type,
            node.domain,
            node.name,
            *node.input,
            *node.output,
            *(attribute.name for attribute in node.attribute),
        )
    ]
    for text in (*texts, graph.name, *(tensor.name for tensor in getattr(graph, "initializer", ()))):
        if not isinstance(text, str):
            raise UnsupportedModelError(
                f"{path}: {text[:60]!a} is no text; export the network again (or copy it again)"
            )


def _check_values(graph: onnx.GraphProto, path: Path, inner: bool) -> None:
    """Inputs and outputs of a graph (a function has names only)."""
    for side in ("input", "output"):
        values = getattr(graph, side)
        names = [value if isinstance(value, str) else value.name for value in values]
        for name in names:
            if not isinstance(name, str) or not name or len(name) > _LONGEST_NAME or not name.isprintable():
                raise UnsupportedModelError(
                    f"{path}: {side} {name[:60]!a} needs a printable name of 1 to {_LONGEST_NAME} characters; rename it"
                )
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise UnsupportedModelError(f"{path}: {side} {twice!r} is there twice; export it once")
        for value in values:
            kind = None if isinstance(value, str) else value.type.WhichOneof("value")
            # The results of a body may leave their types to be inferred, and a loop may hand sequences on.
            if kind is None or inner and kind == "sequence_type":
                continue
            if kind != "tensor_type":
                raise UnsupportedModelError(
                    f"{path}: {side} {value.name!r} is no tensor ({kind}); export the network with tensors only"
                )
            _check_type(value.type.tensor_type, f"{path}: {side} {value.name!r}", optional=side == "output")


def _check_type(tensor: onnx.TypeProto.Tensor, where: str, optional: bool) -> None:
    if tensor.elem_type not in FIELDS and not (optional and tensor.elem_type == TensorProto.UNDEFINED):
        raise UnsupportedModelError(
            f"{where} has element type {type_name(tensor.elem_type)}; export it in float32 or an integer of 8 to 64 "
            "bits"
        )
    for dim in tensor.shape.dim:
        if not isinstance(dim.dim_param, str) or len(dim.dim_param) > _LONGEST_NAME or not dim.dim_param.isprintable():
            raise UnsupportedModelError(
                f"{where} has a dimension named {dim.dim_param[:60]!a}; name it in up to {_LONGEST_NAME} printable "
                "characters"
            )
    extents = [dim.dim_value for dim in tensor.shape.dim if dim.WhichOneof("value") == "dim_value"]
    if min(extents, default=0) < -1:  # Some exporters write an unknown extent as 0 or -1.
        raise UnsupportedModelError(f"{where} has extents {extents}; export it again")
    size = math.prod(extent for extent in extents if extent > 0) * 4
    if size > limit("input"):
        raise UnsupportedModelError(
            f"{where} has extents {extents}, {size} bytes; at most {limit('input')} are read; {more('input')}"
        )


def _check_attributes(node: onnx.NodeProto, weight: list[int] | None, path: Path) -> None:
    """Refuses attributes that are out of bounds. weight: extents of the second operand where it is an initializer."""
    for attribute in node.attribute if node.op_type not in _ANY_FLOAT else ():
        if not all(map(math.isfinite, (attribute.f, *attribute.floats))):
            _refuse(node, f"{attribute.name} {[attribute.f, *attribute.floats][:8]}, not finite", path)
    if node.op_type not in _WINDOWS or node.domain not in OWN_DOMAINS:
        return
    for attribute in node.attribute:
        name, least = (
            attribute.name,
            1 if attribute.name in _POSITIVE else 0 if attribute.name in _NOT_NEGATIVE else None,
        )
        values = list(attribute.ints) if attribute.type == onnx.AttributeProto.INTS else [attribute.i]
        if least is not None and any(not least <= value < 1 << 31 for value in values):
            _refuse(node, f"{name} {values[:8]}; they must be {least} or more", path)
        if (
            name == "kernel_shape"
            and weight is not None
            and node.op_type in ("Conv", "ConvTranspose")
            and values != weight[2:]
        ):
            _refuse(node, f"{name} {values[:8]} for a weight of extents {weight}", path)
        if name == "auto_pad" and attribute.s not in _AUTO_PADS:
            _refuse(node, f"{name} {attribute.s[:40]!r}", path)
    attributes = {attribute.name: attribute for attribute in node.attribute}
    if (
        node.op_type.endswith("Pool")
        and {"kernel_shape", "pads"} <= attributes.keys()
        and ("auto_pad" not in attributes or attributes["auto_pad"].s in (b"", b"NOTSET"))
    ):
        pads, kernel = list(attributes["pads"].ints), list(attributes["kernel_shape"].ints)
        if any(pad >= extent for pad, extent in zip(pads, kernel * 2)):
            _refuse(node, f"pads {pads[:8]} for windows of {kernel[:8]}: some would lie outside of the image", path)


def _refuse(node: onnx.NodeProto, what: str, path: Path) -> NoReturn:
    raise UnsupportedModelError(
        f"{path}: {node.op_type} node {node.name or (node.output[0] if node.output else '?')!r} has {what}; export it "
        "again"
    )
