"""Quantization whose scales are computed at run time: its ranges become static, or its factor goes with the product
until it is gone."""

from typing import TYPE_CHECKING, Any

import numpy as np

from ....targets.errors import UnsupportedModelError
from ....targets.seams import Attrs
from .codes import Codes, Scaled, ZeroPoint, broadcast_along
from .quantize_linear import name_of_operand, real_operand

if TYPE_CHECKING:
    import onnx
    from tvm import relax

    from ..importer import OnnxImporter

DYNAMIC = "ranges that the file computes at run time (dynamic quantization) become static: calibrate it"
_WHOLE = frozenset({"Cast", "Floor", "Ceil", "Round", "Identity"})
_POWERS = {"Mul": lambda a, b: a + b, "Div": lambda a, b: a - b, "Add": lambda a, b: a, "Sub": lambda a, b: a}
_ARRANGED = frozenset({"Reshape", "Unsqueeze", "Squeeze", "Flatten", "Transpose"})


def dynamic_quantize(graph: "OnnxImporter", node: "onnx.NodeProto", attrs: Attrs) -> list[Codes | Scaled | ZeroPoint]:
    """DynamicQuantizeLinear: the tensor itself, and a scale of which only what it belongs to is known."""
    x = graph.operand(node.input[0])
    graph.notes.add(DYNAMIC)
    return [Codes(x, None), Scaled(np.float32(1), x, 1), ZeroPoint(x)]


def scaled_product(graph: "OnnxImporter", node: "onnx.NodeProto", attrs: Attrs) -> list[Scaled]:
    """MatMulInteger and ConvInteger of codes of a scale that is known at run time only: x / s times whole weights.
    Raises UnsupportedModelError for weights that are computed and for a zero point that is not the codes' own."""
    codes, weight = graph.value(node.input[0]), graph.known(node.input[1])
    own = graph.value(name_of_operand(node, 2)) if name_of_operand(node, 2) else None
    zero_name = name_of_operand(node, 3)
    zero = graph.known(zero_name) if zero_name else np.zeros(1, np.int32)
    if weight is None or zero is None or not isinstance(own, ZeroPoint) or not own.source.same_as(codes.value):
        raise UnsupportedModelError(
            "multiplies what DynamicQuantizeLinear made with computed weights, or by a zero point that is not its own; "
            "give the fp32 network it was made from"
        )
    axis = 0 if node.op_type == "ConvInteger" else weight.ndim - 1
    steps = weight.astype("int32") - broadcast_along(zero.astype("int32"), weight.ndim, axis)
    product = graph.apply(
        node,
        "Conv" if node.op_type == "ConvInteger" else "MatMul",
        [codes.value, steps.astype("float32")],
        node.attribute,
    )
    return [Scaled(product, codes.value, -1)]


def scaled(graph: "OnnxImporter", node: "onnx.NodeProto", attrs: Attrs) -> list[Any]:
    """Arithmetic of what has a factor that is known at run time only, until it is gone. What rounds to whole numbers of
    such a scale rounds nothing: ranges become static, and so do the steps."""
    values = [graph.value(name) for name in node.input]
    sources = [value.source for value in values if isinstance(value, Scaled)]
    powers = [value.power if isinstance(value, Scaled) else 0 for value in values]
    known = (
        sources
        and all(source.same_as(sources[0]) for source in sources)
        and not any(isinstance(value, (Codes, ZeroPoint)) for value in values)
    )
    if known and node.op_type in _WHOLE:
        return [values[0]]
    if (
        not known
        or node.op_type not in (*_POWERS, *_ARRANGED)
        or node.op_type in ("Add", "Sub")
        and len(set(powers)) > 1
    ):
        raise UnsupportedModelError(
            "computes with a scale that is known at run time only; give the fp32 network it was made from"
        )
    power = _POWERS[node.op_type](*powers) if node.op_type in _POWERS else powers[0]
    result = graph.apply(
        node, node.op_type, [value.value if isinstance(value, Scaled) else value for value in values], node.attribute
    )
    return [Scaled(result, sources[0], power) if power else result]


def product_to_float(graph: "OnnxImporter", node: "onnx.NodeProto", attrs: Attrs) -> "list[relax.Expr]":
    """MatMulIntegerToFloat (A, B, a_scale, b_scale, a_zero_point, b_zero_point, bias)."""
    a, b = (
        real_operand(graph, node, 0, 2, 4),
        real_operand(graph, node, 1, 3, 5, len(graph.extents(graph.value(node.input[1]))) - 1),
    )
    return [_biased(graph, node, graph.apply(node, "MatMul", [a, b]), 6)]


def dynamic_product(graph: "OnnxImporter", node: "onnx.NodeProto", attrs: Attrs) -> "list[relax.Expr]":
    """DynamicQuantizeMatMul (A, B, b_scale, b_zero_point, bias)."""
    graph.notes.add(DYNAMIC)
    weight = real_operand(graph, node, 1, 2, 3, len(graph.extents(graph.value(node.input[1]))) - 1)
    return [_biased(graph, node, graph.apply(node, "MatMul", [graph.value(node.input[0]), weight]), 4)]


def _biased(graph: "OnnxImporter", node: "onnx.NodeProto", product: "relax.Expr", index: int) -> "relax.Expr":
    return (
        graph.apply(node, "Add", [product, graph.value(node.input[index])]) if name_of_operand(node, index) else product
    )


def dynamic_lstm(graph: "OnnxImporter", node: "onnx.NodeProto", attrs: Attrs) -> Any:
    """DynamicQuantizeLSTM (X, W, R, B, lengths, h, c, P, w_scale, w_zero_point, r_scale, r_zero_point), W and R
    transposed."""
    graph.notes.add(DYNAMIC)
    values = [graph.value(name) if name else None for name in node.input[:8]]
    for index, scale_index in ((1, 8), (2, 10)):
        weight, scale, zero = (
            graph.known(node.input[index]),
            graph.known(node.input[scale_index]),
            graph.known(node.input[scale_index + 1]),
        )
        scale, zero = (v.reshape(v.shape[0], 1, -1) if v.size > 1 else v.reshape(1, 1, 1) for v in (scale, zero))
        values[index] = np.ascontiguousarray(
            ((weight.astype("int32") - zero.astype("int32")) * scale).astype("float32").transpose(0, 2, 1)
        )
    return graph.apply(node, "LSTM", values, node.attribute, outputs=len(node.output))
