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
from .codes import ChannelScale, Codes, Scale, Scaled, ZeroPoint, broadcast_along, check_grid, scale_of
from .narrow import NOTE

if TYPE_CHECKING:
    import onnx

    from ..importer import OnnxImporter


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
        return read_codes(graph, node, value, scale_index, zero_index)
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
    return _dequantized(graph, node, value, scale_index, zero_index)


def read_codes(
    graph: "OnnxImporter",
    node: "onnx.NodeProto",
    codes: Codes,
    scale_index: int,
    zero_index: int,
    axis: int | None = None,
) -> relax.Expr:
    """What codes stand for to a node that has its own scale and zero point for them, nearly always the codes' own;
    axis: of a scale per channel, where the node may have one. Raises UnsupportedModelError for a scale that is known at
    run time only and is not theirs."""
    if codes.scale is None:
        scale, zero = (
            graph.value(name) if name else None
            for name in (name_of_operand(node, index) for index in (scale_index, zero_index))
        )
        if (
            isinstance(scale, Scaled)
            and isinstance(zero, ZeroPoint)
            and scale.power == 1
            and isinstance(scale.value, np.generic)
            and scale.value == 1
            and scale.source.same_as(codes.value)
            and zero.source.same_as(codes.value)
        ):
            return codes.value
        raise UnsupportedModelError(
            "reads integers of a scale that is known at run time only by another scale or zero point; give the fp32 "
            "network it was made from"
        )
    extents = graph.extents(codes.value)
    own = scale_of(
        graph,
        node,
        name_of_operand(node, scale_index),
        name_of_operand(node, zero_index),
        codes.scale.dtype,
        None if axis is None else (axis, extents),
    )
    if own == codes.scale:
        return codes.value
    return _dequantized(
        graph,
        node,
        codes.scale.integers(lambda expr, suffix: graph.emit(expr, node, suffix), codes.value),
        scale_index,
        zero_index,
        axis,
    )


def _real(graph: "OnnxImporter", constant: np.ndarray, scale: np.ndarray, zero: np.ndarray) -> np.ndarray:
    """A quantised constant as float32; the module remembers its grid. scale, zero: ready to be broadcast."""
    steps = constant.astype("int32") - zero.astype("int32")
    if str(constant.dtype) in ("int4", "uint4"):
        graph.notes.add(NOTE)
    graph.grids.append(Grid.of(steps, scale.reshape(-1)))
    return np.asarray(steps.astype("float32") * scale)  # NumPy makes a scalar of two arrays without axes.


def _dequantized(
    graph: "OnnxImporter",
    node: "onnx.NodeProto",
    value: relax.Var,
    scale_index: int,
    zero_index: int,
    axis: int | None = None,
) -> relax.Var:
    """Integers that are an input of the network, or that an operator on integers makes: f32(q - z) * s, marked as
    quantised where they have 8 bits; but for rows of a constant table, which is a weight (an embedding)."""
    dtype, scale_name, zero_name = str(value.ty.dtype), *(name_of_operand(node, i) for i in (scale_index, zero_index))
    if dtype == "int32":
        return _wide_real(graph, node, value, scale_name, zero_name, axis)
    channels = None if axis is None else (axis, graph.extents(value))
    scale = scale_of(graph, node, scale_name, zero_name, dtype, channels)
    if scale.dtype != dtype:
        raise UnsupportedModelError(f"has a zero point of {scale.dtype} for integers of {dtype}; export it again")
    wide = graph.emit(relax.op.astype(graph.expression(value), "float32"), node, "wide")
    if isinstance(scale, Scale) and _looked_up(graph, value):
        return scale.of_steps(graph, node, wide)
    return scale.of_integers(graph, node, wide)


def _wide_real(
    graph: "OnnxImporter",
    node: "onnx.NodeProto",
    value: relax.Var,
    scale_name: str,
    zero_name: str,
    axis: int | None,
) -> relax.Var:
    """Sums of products, int32, in float: f32(q) * s; ONNX gives them no zero point but 0."""
    scale, zero = graph.known(scale_name), graph.known(zero_name) if zero_name else np.zeros(1, np.int32)
    if scale is None or zero is None or zero.any():
        raise UnsupportedModelError("reads int32 by a zero point or a computed scale; export it with constant scales")
    extents = graph.extents(value)
    check_grid(scale, zero, extents, -1 if axis is None else axis)
    known = graph.sums.get(value)
    wide = graph.emit(relax.op.astype(value, "float32"), node, "wide") if known is None else known.value
    step = broadcast_along(scale.astype("float32"), len(extents), -1 if axis is None else axis)
    return graph.emit(relax.op.multiply(wide, relax.const(step)), node, "real")


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
        steps, zero = _grid(graph, node, attrs, x)
        limits = np.iinfo(zero.dtype)
        return [
            np.asarray(
                np.clip(np.rint(x.astype("float32") / steps) + zero.astype("float32"), limits.min, limits.max)
            ).astype(zero.dtype)
        ]
    x = graph.operand(node.input[0])
    if str(x.ty.dtype) != "float32":
        x = graph.emit(relax.op.astype(x, "float32"), node, "wide")
    channels = None if attrs.get("block_size", 0) else (attrs.get("axis", 1), graph.extents(x))
    zero_name = name_of_operand(node, 2)
    scale = scale_of(graph, node, node.input[1], zero_name, _dtype(attrs), channels)
    if isinstance(scale, ChannelScale):
        return [Codes(_coded_by_channel(graph, node, x, scale), scale)]
    return [Codes(scale.pair(graph, node, x), scale)]


def _coded_by_channel(graph: "OnnxImporter", node: "onnx.NodeProto", x: relax.Expr, scale: ChannelScale) -> relax.Var:
    """x as codes with a scale per channel. A clip in front has one bound for all channels and would stand between the
    layer that it belongs to and the factors of its channels. So it goes where it cuts nothing off that the codes do not
    cut off, is kept where it only cuts negative numbers off and zero is one code for all, and else cuts the codes:
    rounding is monotone, so quantise(clip(x)) = clip(quantise(x)) with the codes of the bounds."""
    call = graph.bb.lookup_binding(x) if isinstance(x, relax.Var) else None
    if is_op(call, "relax.nn.relu"):
        low, high = 0.0, float("inf")
    elif is_op(call, "relax.clip"):
        low, high = (float(bound.value) for bound in call.args[1:])
    else:
        return scale.pair(graph, node, x)
    least, most = scale.codes_of(low), scale.codes_of(high)
    limits = np.iinfo(scale.dtype)
    if (most == limits.max).all():
        if (least == limits.min).all():
            return scale.pair(graph, node, call.args[0])
        if low == 0 and len(set(scale.zero_point)) == 1:
            return scale.pair(graph, node, graph.emit(relax.op.nn.relu(call.args[0]), node, "positive"))
    return scale.pair(graph, node, call.args[0], bounds=(least, most))


def dequantize_linear(graph: "OnnxImporter", node: "onnx.NodeProto", attrs: Attrs) -> list[np.ndarray | relax.Var]:
    """DequantizeLinear: the numbers that codes stand for."""
    value, axis = graph.value(node.input[0]), None if attrs.get("block_size", 0) else attrs.get("axis", 1)
    if isinstance(value, Codes):
        return [read_codes(graph, node, value, 1, 2, axis)]
    if isinstance(value, np.ndarray) and graph.known(node.input[1]) is not None:
        return [_real(graph, value, *_grid(graph, node, attrs, value))]
    return [_dequantized(graph, node, graph.expression(value), 1, 2, axis)]


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
        wanted = [
            -(-extent // block) if at == axis % constant.ndim else extent for at, extent in enumerate(constant.shape)
        ]
        if block < 0 or any(list(each.shape) != wanted for each in (scale, zero)):
            raise UnsupportedModelError(
                f"has scales {list(scale.shape)} for blocks of {block} of {list(constant.shape)}, not {wanted}; export "
                "it again"
            )
        return tuple(np.repeat(v, block, axis).take(range(constant.shape[axis]), axis) for v in (scale, zero))
    check_grid(scale, zero, constant.shape, axis)
    return tuple(broadcast_along(v, constant.ndim, axis) for v in (scale, zero))
