"""QOperator, ONNX's own and those of ONNX Runtime (com.microsoft): each becomes its float operator between dequantised
values.

The hub and `realize` know those: see codes.py. Weights become float32 constants that lie on the grid of their scale,
from which the hub takes the integers again (passes/calibrate/weights.py)."""

from typing import TYPE_CHECKING

from ....targets.errors import UnsupportedModelError
from ....targets.seams import Attrs
from .codes import Codes
from .quantize_linear import coded, name_of_operand, real_operand

if TYPE_CHECKING:
    import onnx

    from ..importer import OnnxImporter

FLOAT_OF = {
    "QLinearAdd": "Add",
    "QLinearMul": "Mul",
    "QLinearSigmoid": "Sigmoid",
    "QLinearLeakyRelu": "LeakyRelu",
    "QLinearSoftmax": "Softmax",
    "QLinearGlobalAveragePool": "GlobalAveragePool",
    "QLinearAveragePool": "AveragePool",
    "QLinearReduceMean": "ReduceMean",
}


def qlinear_conv(graph: "OnnxImporter", node: "onnx.NodeProto", attrs: Attrs) -> list[Codes]:
    """QLinearConv: the convolution of the numbers, quantised."""
    x, w = real_operand(graph, node, 0, 1, 2), real_operand(graph, node, 3, 4, 5)
    operands = [x, w]
    if name_of_operand(node, 8):
        step = graph.known(node.input[1]).astype("float64") * graph.known(node.input[4]).astype("float64").reshape(-1)
        operands.append((graph.known(node.input[8]) * step).astype("float32"))
    return [coded(graph, node, graph.apply(node, "Conv", operands, node.attribute), 6, 7)]


def qlinear_matmul(graph: "OnnxImporter", node: "onnx.NodeProto", attrs: Attrs) -> list[Codes]:
    """QLinearMatMul: the product of the numbers, quantised."""
    axis = (
        len(graph.extents(graph.value(node.input[3]))) - 1 if not isinstance(graph.value(node.input[3]), Codes) else 0
    )
    a, b = real_operand(graph, node, 0, 1, 2), real_operand(graph, node, 3, 4, 5, axis)
    return [coded(graph, node, graph.apply(node, "MatMul", [a, b]), 6, 7)]


def qgemm(graph: "OnnxImporter", node: "onnx.NodeProto", attrs: Attrs) -> list[Codes]:
    """ONNX Runtime's QGemm: the linear layer of the numbers, quantised where a scale of the result is given."""
    a, b = real_operand(graph, node, 0, 1, 2), real_operand(graph, node, 3, 4, 5, 0 if attrs.get("transB", 0) else 1)
    operands = [a, b]
    if name_of_operand(node, 6):
        step = (
            graph.known(node.input[1]).astype("float64")
            * graph.known(node.input[4]).astype("float64").reshape(-1)
            * attrs.get("alpha", 1.0)
        )
        operands.append((graph.known(node.input[6]) * step).astype("float32"))
    product = graph.apply(node, "Gemm", operands, node.attribute)
    return [coded(graph, node, product, 7, 8) if name_of_operand(node, 7) else product]


def qlinear_elementwise(graph: "OnnxImporter", node: "onnx.NodeProto", attrs: Attrs) -> list[Codes]:
    """One or two operands, each with its scale and zero point, then those of the result."""
    two = node.op_type in ("QLinearAdd", "QLinearMul")
    operands = [real_operand(graph, node, 3 * i, 3 * i + 1, 3 * i + 2) for i in range(1 + two)]
    if attrs.get("channels_last", 0):
        raise UnsupportedModelError("works on channels last; export it with channels first")
    own = [attribute for attribute in node.attribute if attribute.name not in ("channels_last", "opset")]
    return [
        coded(
            graph,
            node,
            graph.apply(node, FLOAT_OF[node.op_type], operands, own),
            3 * len(operands),
            3 * len(operands) + 1,
        )
    ]


def qlinear_concat(graph: "OnnxImporter", node: "onnx.NodeProto", attrs: Attrs) -> list[Codes]:
    """(y_scale, y_zero_point, x, x_scale, x_zero_point, ...)."""
    operands = [real_operand(graph, node, i, i + 1, i + 2) for i in range(2, len(node.input), 3)]
    return [coded(graph, node, graph.apply(node, "Concat", operands, node.attribute), 0, 1)]
