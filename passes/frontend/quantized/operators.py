"""QOperator, ONNX's own and those of ONNX Runtime (com.microsoft): each becomes its float operator between dequantised
values.

The hub and `realize` know those: see codes.py. Weights become float32 constants that lie on the grid of their scale,
from which the hub takes the integers again (passes/calibrate/weights.py)."""

from typing import TYPE_CHECKING

import numpy as np
from onnx import helper

from ....targets.errors import UnsupportedModelError
from ....targets.seams import Attrs
from .codes import Codes
from .quantize_linear import coded, name_of_operand, real_operand

if TYPE_CHECKING:
    import onnx

    from ..importer import OnnxImporter

_BY_AXIS = 13  # Softmax is one along its axis since this opset.
FLOAT_OF = {
    "QLinearAdd": "Add",
    "QLinearMul": "Mul",
    "QLinearSigmoid": "Sigmoid",
    "QLinearLeakyRelu": "LeakyRelu",
    "QLinearGlobalAveragePool": "GlobalAveragePool",
    "QLinearAveragePool": "AveragePool",
    "QLinearReduceMean": "ReduceMean",
}


def qlinear_conv(graph: "OnnxImporter", node: "onnx.NodeProto", attrs: Attrs) -> list[Codes]:
    """QLinearConv: the convolution of the numbers, quantised."""
    _check_channels(attrs)
    operands = [real_operand(graph, node, 0, 1, 2), real_operand(graph, node, 3, 4, 5)]
    if name_of_operand(node, 8):
        operands.append(_bias(graph, node, 8))
    own = [attribute for attribute in node.attribute if attribute.name != "channels_last"]
    return [coded(graph, node, graph.apply(node, "Conv", operands, own), 6, 7)]


def _check_channels(attrs: Attrs) -> None:
    if attrs.get("channels_last", 0):
        raise UnsupportedModelError("works on channels last; export it with channels first")


def _bias(graph: "OnnxImporter", node: "onnx.NodeProto", index: int, factor: float = 1.0) -> np.ndarray:
    """A layer's int32 bias as float32: its steps are those of the data times those of the weight."""
    steps, bias = [graph.known(node.input[i]) for i in (1, 4)], graph.known(node.input[index])
    if bias is None or any(step is None for step in steps):
        raise UnsupportedModelError("computes its bias or a scale at run time; export it with constant ones")
    first, second = (step.astype(np.float64).reshape(-1) for step in steps)
    real: np.ndarray = (bias * (first * second * factor)).astype(np.float32)
    return real


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
        operands.append(_bias(graph, node, 6, attrs.get("alpha", 1.0)))
    product = graph.apply(node, "Gemm", operands, node.attribute)
    return [coded(graph, node, product, 7, 8) if name_of_operand(node, 7) else product]


def qlinear_elementwise(graph: "OnnxImporter", node: "onnx.NodeProto", attrs: Attrs) -> list[Codes]:
    """One or two operands, each with its scale and zero point, then those of the result."""
    two = node.op_type in ("QLinearAdd", "QLinearMul")
    operands = [real_operand(graph, node, 3 * i, 3 * i + 1, 3 * i + 2) for i in range(1 + two)]
    _check_channels(attrs)
    own = [attribute for attribute in node.attribute if attribute.name not in ("channels_last", "opset")]
    result = graph.apply(node, FLOAT_OF[node.op_type], operands, own)
    return [coded(graph, node, result, 3 * len(operands), 3 * len(operands) + 1)]


def qlinear_softmax(graph: "OnnxImporter", node: "onnx.NodeProto", attrs: Attrs) -> list[Codes]:
    """(x, x_scale, x_zero_point, y_scale, y_zero_point). The attribute `opset` says of which Softmax it is: up to 12
    that of all axes from `axis` on together, whatever the network's own version says."""
    x = real_operand(graph, node, 0, 1, 2)
    extents, axis = graph.extents(x), attrs.get("axis", -1)
    if not -len(extents) <= axis < len(extents):
        raise UnsupportedModelError(f"has axis {axis} of {len(extents)}; export it again")
    axis %= len(extents)
    last = [helper.make_attribute("axis", -1)]
    if attrs["opset"] < _BY_AXIS:
        rows = graph.apply(node, "Reshape", [x, np.array([-1, int(np.prod(extents[axis:]))])])
        result = graph.apply(node, "Reshape", [graph.apply(node, "Softmax", [rows], last), np.array(extents)])
    else:
        turn = [*(i for i in range(len(extents)) if i != axis), axis]
        back = helper.make_attribute("perm", list(map(int, np.argsort(turn))))
        moved = graph.apply(node, "Transpose", [x], [helper.make_attribute("perm", turn)])
        shape = np.array(graph.extents(moved))
        rows = (
            moved if graph.opset >= _BY_AXIS else graph.apply(node, "Reshape", [moved, np.array([-1, extents[axis]])])
        )
        result = graph.apply(node, "Softmax", [rows], last)
        result = graph.apply(node, "Transpose", [graph.apply(node, "Reshape", [result, shape])], [back])
    return [coded(graph, node, result, 3, 4)]


def qlinear_where(graph: "OnnxImporter", node: "onnx.NodeProto", attrs: Attrs) -> list[Codes]:
    """(condition, x, x_scale, x_zero_point, y, y_scale, y_zero_point, z_scale, z_zero_point)."""
    choices = [real_operand(graph, node, i, i + 1, i + 2) for i in (1, 4)]
    return [coded(graph, node, graph.apply(node, "Where", [graph.value(node.input[0]), *choices]), 7, 8)]


def qlinear_concat(graph: "OnnxImporter", node: "onnx.NodeProto", attrs: Attrs) -> list[Codes]:
    """(y_scale, y_zero_point, x, x_scale, x_zero_point, ...)."""
    operands = [real_operand(graph, node, i, i + 1, i + 2) for i in range(2, len(node.input), 3)]
    return [coded(graph, node, graph.apply(node, "Concat", operands, node.attribute), 0, 1)]
