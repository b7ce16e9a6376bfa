"""Which converter takes a node that is quantised or reads what is."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import helper
from tvm import relax

from ....targets.seams import Attrs
from .codes import MOVES, Codes, Scale, Scaled, ZeroPoint
from .dynamic import dynamic_lstm, dynamic_product, dynamic_quantize, product_to_float, scaled
from .integer_products import biased_sums, integer_product, moved_sums, sums_to_float
from .narrow import blocked_product
from .operators import (
    FLOAT_OF,
    qgemm,
    qlinear_concat,
    qlinear_conv,
    qlinear_elementwise,
    qlinear_matmul,
    qlinear_softmax,
    qlinear_where,
)
from .quantize_linear import dequantize_linear, quantize_linear

if TYPE_CHECKING:
    import onnx

    from ..importer import OnnxImporter


CONVERTERS = {
    "QuantizeLinear": quantize_linear,
    "DequantizeLinear": dequantize_linear,
    "DynamicQuantizeLinear": dynamic_quantize,
    "MatMulInteger": integer_product,
    "ConvInteger": integer_product,
    "QLinearConv": qlinear_conv,
    "QLinearMatMul": qlinear_matmul,
    "QGemm": qgemm,
    "QLinearConcat": qlinear_concat,
    "QLinearSoftmax": qlinear_softmax,
    "QLinearWhere": qlinear_where,
    "MatMulIntegerToFloat": product_to_float,
    "DynamicQuantizeMatMul": dynamic_product,
    "DynamicQuantizeLSTM": dynamic_lstm,
    "MatMulNBits": blocked_product,
} | dict.fromkeys(FLOAT_OF, qlinear_elementwise)

_FOLDED = frozenset({"MatMulInteger", "ConvInteger"})  # Of known integers ONNX's own evaluator computes them.
# A scale per channel stays with its axis here.
_KEEPS_AXES = frozenset({"Identity", "MaxPool"})


def moved(graph: "OnnxImporter", node: "onnx.NodeProto", attrs: Attrs) -> list[Codes]:
    """Codes that are only moved: the values are moved, and are marked as quantised again."""
    codes = graph.value(node.input[0])
    others = [graph.value(name) if name else None for name in node.input[1:]]
    results = graph.apply(node, node.op_type, [codes.value, *others], node.attribute, outputs=len(node.output))
    return [Codes(codes.scale.pair(graph, node, value), codes.scale) for value in results]


def concatenated(graph: "OnnxImporter", node: "onnx.NodeProto", attrs: Attrs) -> list[Codes]:
    """Concat of codes that share a scale: the codes lie side by side."""
    parts = [graph.value(name) for name in node.input]
    value = graph.apply(node, "Concat", [part.value for part in parts], node.attribute)
    return [Codes(parts[0].scale.pair(graph, node, value), parts[0].scale)]


def clipped(graph: "OnnxImporter", node: "onnx.NodeProto", attrs: Attrs) -> list[Codes]:
    """Clip of codes, as quantizers of fewer than 8 bits write it: clip(quantize(x)) = quantize(clip(x)), with bounds
    that lie on the grid."""
    codes = graph.value(node.input[0])
    grid, limits = codes.scale, np.iinfo(codes.scale.dtype)
    low, high = (
        (limit if not name else int(graph.known(name)) - grid.zero_point) * np.float32(grid.scale)
        for limit, name in zip((limits.min - grid.zero_point, limits.max - grid.zero_point), _bounds(node))
    )
    quantized = graph.bb.lookup_binding(graph.bb.lookup_binding(codes.value).args[0])
    x = graph.emit(relax.op.clip(quantized.args[0], float(low), float(high)), node, "clip")
    return [Codes(grid.pair(graph, node, x), grid)]


def _bounds(node: "onnx.NodeProto") -> list[str]:
    return [*node.input[1:], "", ""][:2]


def _casts_to(node: "onnx.NodeProto") -> str:
    to = next(attribute.i for attribute in node.attribute if attribute.name == "to")
    return str(helper.tensor_dtype_to_np_dtype(to))


def _same_type(node: "onnx.NodeProto", codes: Codes) -> bool:
    return codes.scale is not None and _casts_to(node) == codes.scale.dtype


def cast_to_same(graph: "OnnxImporter", node: "onnx.NodeProto", attrs: Attrs) -> list[Codes]:
    """Cast of codes to the type that they have, as PyTorch's exporter writes it behind quantizers: the codes."""
    return [graph.value(node.input[0])]


def _converter_of_sums(
    graph: "OnnxImporter", node: "onnx.NodeProto", values: list[Any], known: list[bool]
) -> Callable[..., Any] | None:
    """That of a node which reads sums of integers and does not need them as integers, else None."""
    sums = [isinstance(value, relax.Var) and value in graph.sums for value in values]
    if node.op_type == "Cast" and sums == [True] and _casts_to(node) == "float32":
        return sums_to_float
    if node.op_type == "Add" and sorted(sums) == [False, True] and any(known):
        return biased_sums
    return moved_sums if node.op_type in MOVES - {"Split"} and sums[:1] == [True] else None


def converter_of(graph: "OnnxImporter", node: "onnx.NodeProto") -> Callable[..., Any] | None:
    """The converter of a node that is or reads something quantised, else None."""
    values = [graph.value(name) for name in node.input if graph.has(name)]
    known = [isinstance(value, np.ndarray) for value in values]
    if node.op_type in _FOLDED and all(known):
        return None
    if node.op_type in CONVERTERS:
        return CONVERTERS[node.op_type]
    if any(isinstance(value, (Scaled, ZeroPoint)) for value in values):
        return scaled
    of_sums = _converter_of_sums(graph, node, values, known)
    if of_sums is not None:
        return of_sums
    static = [isinstance(value, Codes) and value.scale is not None for value in values]
    whole = static[:1] == [True] and isinstance(values[0].scale, Scale)
    if static[:1] == [True] and node.op_type in (MOVES if whole else _KEEPS_AXES):
        return moved
    if node.op_type == "Clip" and whole and all(graph.known(x) is not None for x in _bounds(node) if x):
        return clipped
    if node.op_type == "Cast" and static == [True] and _same_type(node, values[0]):
        return cast_to_same
    if node.op_type == "Concat" and all(static) and whole and len({value.scale for value in values}) == 1:
        return concatenated
    return None
