"""QuantizeLinear and DequantizeLinear, and what quantised operands and results stand for."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import tvm
from onnx import helper
from tvm import relax

from ....targets.errors import UnsupportedModelError
from ....targets.seams import Attrs
from ...operators.registry import operators
from ...ops import is_op
from ...rewriting.grids import Grid
from .codes import OFFSETS, Codes, broadcast_along, check_grid, scale_of
from .narrow import NOTE

if TYPE_CHECKING:
    import onnx

    from ..importer import OnnxImporter
    from .codes import Scale


_MOVES = operators(lambda traits: traits.moves and traits.view)


def name_of_operand(node: "onnx.NodeProto", index: int) -> str:
    """The name of an optional input, "" where it is left out."""
    return node.input[index] if index < len(node.input) else ""


def real_operand(
    graph: "OnnxImporter", node: "onnx.NodeProto", index: int, scale_index: int, zero_index: int, axis: int = 0
) -> np.ndarray | relax.Expr:
    """What a quantised operand with the named scale and zero point stands for: an expression, or an array where it is
    constant."""
    value = graph.value(node.input[index])
    if isinstance(value, Codes):
        return value.value
    scale, zero = (
        graph.known(name_of_operand(node, scale_index)),
        graph.known(name_of_operand(node, zero_index)) if name_of_operand(node, zero_index) else None,
    )
    if isinstance(value, np.ndarray) and scale is not None:
        zero = np.zeros(1, value.dtype) if zero is None else zero
        check_grid(scale, zero, value.shape, axis)
        return _real(
            graph,
            value,
            broadcast_along(scale.astype("float32"), value.ndim, axis),
            broadcast_along(zero, value.ndim, axis),
        )
    return _dequantized(
        graph, node, value, scale_of(graph, node, name_of_operand(node, scale_index), name_of_operand(node, zero_index))
    )


def _real(graph: "OnnxImporter", constant: np.ndarray, scale: np.ndarray, zero: np.ndarray) -> np.ndarray:
    """A quantised constant as float32; the module remembers its grid. scale, zero: ready to be broadcast."""
    steps = constant.astype("int32") - zero.astype("int32")
    if str(constant.dtype) in ("int4", "uint4"):
        graph.notes.add(NOTE)
    graph.grids.append(Grid.of(steps, scale.reshape(-1)))
    return np.asarray(steps.astype("float32") * scale)  # NumPy makes a scalar of two arrays without axes.


def _dequantized(graph: "OnnxImporter", node: "onnx.NodeProto", value: relax.Var, scale: "Scale") -> relax.Var:
    """Integers that are an input of the network, or that an operator on integers makes: f32(q - z) * s, marked as
    quantised; but for rows of a constant table, which is a weight (an embedding)."""
    wide = graph.emit(relax.op.astype(graph.expression(value), "float32"), node, "wide")
    steps = graph.emit(relax.op.subtract(wide, relax.const(np.float32(scale.zero_point))), node, "steps")
    real = graph.emit(relax.op.multiply(steps, relax.const(np.float32(scale.scale))), node, "real")
    return real if _looked_up(graph, value) else scale.pair(graph, node, real)


def _looked_up(graph: "OnnxImporter", value: relax.Var) -> bool:
    """Whether the values are elements of a constant that a look-up takes."""
    looked_up = False
    while isinstance(value, relax.Var):
        value = graph.bb.lookup_binding(value)
        if is_op(value, "relax.take", *_MOVES):
            looked_up = looked_up or is_op(value, "relax.take")
            value = value.args[0]
    return looked_up and isinstance(value, tvm.ir.GenericConst)


def _dtype(attrs: Attrs) -> str:
    """Of a quantizer without a zero point: uint8, or what opset 21 says."""
    return str(helper.tensor_dtype_to_np_dtype(attrs["output_dtype"])) if attrs.get("output_dtype") else "uint8"


def coded(
    graph: "OnnxImporter",
    node: "onnx.NodeProto",
    x: relax.Expr,
    scale_index: int,
    zero_index: int,
    dtype: str = "uint8",
) -> Codes:
    """A float result `x` as Codes with the scale and zero point that the node has at these operands."""
    scale = scale_of(graph, node, name_of_operand(node, scale_index), name_of_operand(node, zero_index), dtype)
    return Codes(scale.pair(graph, node, graph.expression(x)), scale)


def quantize_linear(graph: "OnnxImporter", node: "onnx.NodeProto", attrs: Attrs) -> list[Codes | np.ndarray]:
    """QuantizeLinear: codes that know their scale; of a known value the array of them."""
    x = graph.known(node.input[0])
    if x is not None:
        scale, zero = _grid(graph, node, attrs, x)
        limits = np.iinfo(zero.dtype)
        return [
            np.asarray(
                np.clip(np.rint(x.astype("float32") / scale) + zero.astype("float32"), limits.min, limits.max)
            ).astype(zero.dtype)
        ]
    scale = graph.known(node.input[1])
    if scale is not None and scale.size > 1 and not attrs.get("block_size", 0):
        return [_coded_by_channel(graph, node, attrs)]
    return [coded(graph, node, graph.value(node.input[0]), 1, 2, _dtype(attrs))]


def _coded_by_channel(graph: "OnnxImporter", node: "onnx.NodeProto", attrs: Attrs) -> Codes:
    """Codes with a scale for each channel of a computed tensor, as NNCF has them in front of depthwise convolutions:
    rounded in float, as no layer reads such codes. Raises UnsupportedModelError for more than 8 bits."""
    x = graph.expression(graph.value(node.input[0]))
    zero = graph.known(name_of_operand(node, 2)) if name_of_operand(node, 2) else None
    dtype = _dtype(attrs) if zero is None else str(zero.dtype)
    if dtype not in OFFSETS or name_of_operand(node, 2) and zero is None:
        raise UnsupportedModelError(f"quantises to {dtype}; only int8 and uint8 are supported, give the fp32 network")
    scale, rank = graph.known(node.input[1]).astype("float32"), len(graph.extents(x))
    zero = np.zeros(scale.shape, dtype) if zero is None else zero
    step, zero = (
        relax.const(broadcast_along(v.astype("float32"), rank, attrs.get("axis", 1)), "float32") for v in (scale, zero)
    )
    limits = np.iinfo(dtype)
    codes = graph.emit(relax.op.divide(x, step), node, "steps")
    codes = graph.emit(relax.op.add(graph.emit(relax.op.round(codes), node, "rounded"), zero), node, "shifted")
    codes = graph.emit(relax.op.clip(codes, float(limits.min), float(limits.max)), node, "codes")
    steps = graph.emit(relax.op.subtract(codes, zero), node, "kept")
    return Codes(graph.emit(relax.op.multiply(steps, step), node, "real"), None)


def dequantize_linear(graph: "OnnxImporter", node: "onnx.NodeProto", attrs: Attrs) -> list[np.ndarray | relax.Var]:
    """DequantizeLinear: the numbers that codes stand for."""
    value = graph.value(node.input[0])
    if isinstance(value, Codes):
        if value.scale is not None and graph.known(node.input[1]) is not None:
            scale = scale_of(graph, node, node.input[1], name_of_operand(node, 2))
            if (scale.scale, scale.zero_point) != (value.scale.scale, value.scale.zero_point):
                return [_dequantized(graph, node, graph.emit(value.scale.integers(value.value), node, "codes"), scale)]
        return [value.value]
    if isinstance(value, np.ndarray) and graph.known(node.input[1]) is not None:
        return [_real(graph, value, *_grid(graph, node, attrs, value))]
    scale = graph.known(node.input[1])
    if scale is not None and scale.size > 1 and not attrs.get("block_size", 0):
        return [_real_by_channel(graph, node, attrs, value)]
    return [real_operand(graph, node, 0, 1, 2)]


def _real_by_channel(graph: "OnnxImporter", node: "onnx.NodeProto", attrs: Attrs, value: relax.Expr) -> relax.Var:
    """Integers that are computed, with a scale for each channel: numbers in float."""
    zero = graph.known(name_of_operand(node, 2)) if name_of_operand(node, 2) else np.zeros(1, "int32")
    if zero is None:
        raise UnsupportedModelError("computes its zero point at run time; export it with a constant one")
    rank, axis = len(graph.extents(value)), attrs.get("axis", 1)
    step, zero = (
        relax.const(broadcast_along(v.astype("float32"), rank, axis), "float32")
        for v in (graph.known(node.input[1]), zero)
    )
    wide = graph.emit(relax.op.astype(graph.expression(value), "float32"), node, "wide")
    return graph.emit(relax.op.multiply(graph.emit(relax.op.subtract(wide, zero), node, "steps"), step), node, "real")


def _grid(graph: "OnnxImporter", node: "onnx.NodeProto", attrs: Attrs, constant: np.ndarray) -> Sequence[np.ndarray]:
    """(scales, zero points) of a constant, ready to be broadcast: of the tensor, of an axis, or of blocks along it."""
    scale, zero = (
        graph.known(node.input[1]),
        graph.known(name_of_operand(node, 2)) if name_of_operand(node, 2) else None,
    )
    if scale is None or name_of_operand(node, 2) and zero is None:
        raise UnsupportedModelError("computes its scale at run time; export it with constant scales")
    scale = scale.astype("float32")
    zero = (
        np.zeros(scale.shape, constant.dtype if constant.dtype.kind != "f" else _dtype(attrs)) if zero is None else zero
    )
    axis, block = attrs.get("axis", 1), attrs.get("block_size", 0)
    if block:
        return tuple(np.repeat(v, block, axis).take(range(constant.shape[axis]), axis) for v in (scale, zero))
    check_grid(scale, zero, constant.shape, axis)
    return tuple(broadcast_along(v, constant.ndim, axis) for v in (scale, zero))
