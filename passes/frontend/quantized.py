"""Operators of networks that come quantised: QDQ, QOperator, and the dynamic ones, ONNX's own and those of ONNX Runtime (com.microsoft).

Each becomes its float operator between dequantised values, which the hub and `realize` know: see codes.py. Weights become float32 constants that lie on
the grid of their scale, from which the hub takes the integers again (passes/calibrate/weights.py).
"""

import numpy as np
from onnx import helper
from tvm import relax

from ...targets.errors import UnsupportedModelError
from ..rewriting.grids import Grid
from .codes import MOVES, Codes, Scaled, ZeroPoint, per_axis, scale_of
from .narrow import NOTE, blocked_product

DYNAMIC = "ranges that the file computes at run time (dynamic quantization) become static: calibrate it"
_FLOAT_OF = {
    "QLinearAdd": "Add", "QLinearMul": "Mul", "QLinearSigmoid": "Sigmoid", "QLinearLeakyRelu": "LeakyRelu", "QLinearSoftmax": "Softmax",
    "QLinearGlobalAveragePool": "GlobalAveragePool", "QLinearAveragePool": "AveragePool", "QLinearReduceMean": "ReduceMean",
}  # fmt: skip


def _name(node, index):
    return node.input[index] if index < len(node.input) else ""


def _float(graph, node, index, scale_index, zero_index, axis=0):
    """What a quantised operand with the named scale and zero point stands for: an expression, or an array where it is constant."""
    value = graph.value(node.input[index])
    if isinstance(value, Codes):
        return value.value
    scale, zero = graph.known(_name(node, scale_index)), graph.known(_name(node, zero_index)) if _name(node, zero_index) else None
    if isinstance(value, np.ndarray) and scale is not None:
        zero = np.zeros(1, value.dtype) if zero is None else zero
        return _real(graph, value, per_axis(scale.astype("float32"), value.ndim, axis), per_axis(zero, value.ndim, axis))
    return _dequantized(graph, node, value, scale_of(graph, node, _name(node, scale_index), _name(node, zero_index)))


def _real(graph, constant, scale, zero):
    """A quantised constant as float32; the module remembers its grid. scale, zero: ready to be broadcast."""
    steps = constant.astype("int32") - zero.astype("int32")
    if str(constant.dtype) in ("int4", "uint4"):
        graph.notes.add(NOTE)
    graph.grids.append(Grid.of(steps, scale.reshape(-1)))
    return steps.astype("float32") * scale


def _dequantized(graph, node, value, scale):
    """Integers that are an input of the network, or that an operator on integers makes: f32(q - z) * s, marked as quantised."""
    wide = graph.emit(relax.op.astype(graph.expression(value), "float32"), node, "wide")
    steps = graph.emit(relax.op.subtract(wide, relax.const(np.float32(scale.zero_point))), node, "steps")
    return scale.pair(graph, node, graph.emit(relax.op.multiply(steps, relax.const(np.float32(scale.scale))), node, "real"))


def _dtype(attrs):
    """Of a quantizer without a zero point: uint8, or what opset 21 says."""
    return str(helper.tensor_dtype_to_np_dtype(attrs["output_dtype"])) if attrs.get("output_dtype") else "uint8"


def _coded(graph, node, x, scale_index, zero_index, dtype="uint8"):
    """The float result `x` as Codes."""
    scale = scale_of(graph, node, _name(node, scale_index), _name(node, zero_index), dtype)
    return Codes(scale.pair(graph, node, graph.expression(x)), scale)


def quantize_linear(graph, node, attrs):
    x = graph.known(node.input[0])
    if x is not None:
        scale, zero = _grid(graph, node, attrs, x)
        limits = np.iinfo(zero.dtype)
        return [np.clip(np.rint(x.astype("float32") / scale) + zero.astype("float32"), limits.min, limits.max).astype(zero.dtype)]
    return [_coded(graph, node, graph.value(node.input[0]), 1, 2, _dtype(attrs))]


def dequantize_linear(graph, node, attrs):
    value = graph.value(node.input[0])
    if isinstance(value, Codes):
        if value.scale is not None and graph.known(node.input[1]) is not None:
            scale = scale_of(graph, node, node.input[1], _name(node, 2))
            if (scale.scale, scale.zero_point) != (value.scale.scale, value.scale.zero_point):
                return [_dequantized(graph, node, graph.emit(value.scale.integers(value.value), node, "codes"), scale)]
        return [value.value]
    if isinstance(value, np.ndarray) and graph.known(node.input[1]) is not None:
        return [_real(graph, value, *_grid(graph, node, attrs, value))]
    return [_float(graph, node, 0, 1, 2)]


def _grid(graph, node, attrs, constant):
    """(scales, zero points) of a constant, ready to be broadcast: of the tensor, of an axis, or of blocks along it."""
    scale, zero = graph.known(node.input[1]), graph.known(_name(node, 2)) if _name(node, 2) else None
    if scale is None or _name(node, 2) and zero is None:
        raise UnsupportedModelError("computes its scale at run time; export it with constant scales")
    scale = scale.astype("float32")
    zero = np.zeros(scale.shape, constant.dtype if constant.dtype.kind != "f" else _dtype(attrs)) if zero is None else zero
    axis, block = attrs.get("axis", 1), attrs.get("block_size", 0)
    if block:
        return tuple(np.repeat(v, block, axis).take(range(constant.shape[axis]), axis) for v in (scale, zero))
    return tuple(per_axis(v, constant.ndim, axis) for v in (scale, zero))


def dynamic_quantize(graph, node, attrs):
    x = graph.operand(node.input[0])
    graph.notes.add(DYNAMIC)
    return [Codes(x, None), Scaled(np.float32(1), x, 1), ZeroPoint(x)]


def integer_product(graph, node, attrs):
    """MatMulInteger and ConvInteger: x / s times whole weights."""
    codes, weight = graph.value(node.input[0]), graph.known(node.input[1])
    if not isinstance(codes, Codes) or codes.scale is not None or weight is None:
        raise UnsupportedModelError("multiplies integers that no DynamicQuantizeLinear made, or computed weights; give the fp32 network it was made from")
    zero = graph.known(_name(node, 3)) if _name(node, 3) else np.zeros(1, weight.dtype)
    axis = 0 if node.op_type == "ConvInteger" else weight.ndim - 1
    steps = weight.astype("int32") - per_axis(zero.astype("int32"), weight.ndim, axis)
    product = graph.apply(node, "Conv" if node.op_type == "ConvInteger" else "MatMul", [codes.value, steps.astype("float32")], node.attribute)
    return [Scaled(product, codes.value, -1)]


def scaled(graph, node, attrs):
    """Arithmetic of what has a factor that is known at run time only, until it is gone. What rounds to whole numbers of such a scale rounds nothing: ranges
    become static, and so do the steps."""
    values = [graph.value(name) for name in node.input]
    sources = [value.source for value in values if isinstance(value, Scaled)]
    powers = [value.power if isinstance(value, Scaled) else 0 for value in values]
    known = sources and all(source.same_as(sources[0]) for source in sources) and not any(isinstance(value, (Codes, ZeroPoint)) for value in values)
    if known and node.op_type in _WHOLE:
        return [values[0]]
    if not known or node.op_type not in (*_POWERS, *_ARRANGED) or node.op_type in ("Add", "Sub") and len(set(powers)) > 1:
        raise UnsupportedModelError("computes with a scale that is known at run time only; give the fp32 network it was made from")
    power = _POWERS[node.op_type](*powers) if node.op_type in _POWERS else powers[0]
    result = graph.apply(node, node.op_type, [value.value if isinstance(value, Scaled) else value for value in values], node.attribute)
    return [Scaled(result, sources[0], power) if power else result]


_WHOLE = frozenset({"Cast", "Floor", "Ceil", "Round", "Identity"})
_POWERS = {"Mul": lambda a, b: a + b, "Div": lambda a, b: a - b, "Add": lambda a, b: a, "Sub": lambda a, b: a}
_ARRANGED = frozenset({"Reshape", "Unsqueeze", "Squeeze", "Flatten", "Transpose"})


def qlinear_conv(graph, node, attrs):
    x, w = _float(graph, node, 0, 1, 2), _float(graph, node, 3, 4, 5)
    operands = [x, w]
    if _name(node, 8):
        step = graph.known(node.input[1]).astype("float64") * graph.known(node.input[4]).astype("float64").reshape(-1)
        operands.append((graph.known(node.input[8]) * step).astype("float32"))
    return [_coded(graph, node, graph.apply(node, "Conv", operands, node.attribute), 6, 7)]


def qlinear_matmul(graph, node, attrs):
    axis = len(graph.extents(graph.value(node.input[3]))) - 1 if not isinstance(graph.value(node.input[3]), Codes) else 0
    a, b = _float(graph, node, 0, 1, 2), _float(graph, node, 3, 4, 5, axis)
    return [_coded(graph, node, graph.apply(node, "MatMul", [a, b]), 6, 7)]


def qgemm(graph, node, attrs):
    a, b = _float(graph, node, 0, 1, 2), _float(graph, node, 3, 4, 5, 0 if attrs.get("transB", 0) else 1)
    operands = [a, b]
    if _name(node, 6):
        step = graph.known(node.input[1]).astype("float64") * graph.known(node.input[4]).astype("float64").reshape(-1) * attrs.get("alpha", 1.0)
        operands.append((graph.known(node.input[6]) * step).astype("float32"))
    product = graph.apply(node, "Gemm", operands, node.attribute)
    return [_coded(graph, node, product, 7, 8) if _name(node, 7) else product]


def qlinear_elementwise(graph, node, attrs):
    """One or two operands, each with its scale and zero point, then those of the result."""
    two = node.op_type in ("QLinearAdd", "QLinearMul")
    operands = [_float(graph, node, 3 * i, 3 * i + 1, 3 * i + 2) for i in range(1 + two)]
    if attrs.get("channels_last", 0):
        raise UnsupportedModelError("works on channels last; export it with channels first")
    own = [attribute for attribute in node.attribute if attribute.name not in ("channels_last", "opset")]
    return [_coded(graph, node, graph.apply(node, _FLOAT_OF[node.op_type], operands, own), 3 * len(operands), 3 * len(operands) + 1)]


def qlinear_concat(graph, node, attrs):
    """(y_scale, y_zero_point, x, x_scale, x_zero_point, ...)."""
    operands = [_float(graph, node, i, i + 1, i + 2) for i in range(2, len(node.input), 3)]
    return [_coded(graph, node, graph.apply(node, "Concat", operands, node.attribute), 0, 1)]


def product_to_float(graph, node, attrs):
    """MatMulIntegerToFloat (A, B, a_scale, b_scale, a_zero_point, b_zero_point, bias)."""
    a, b = _float(graph, node, 0, 2, 4), _float(graph, node, 1, 3, 5, len(graph.extents(graph.value(node.input[1]))) - 1)
    return [_biased(graph, node, graph.apply(node, "MatMul", [a, b]), 6)]


def dynamic_product(graph, node, attrs):
    """DynamicQuantizeMatMul (A, B, b_scale, b_zero_point, bias)."""
    graph.notes.add(DYNAMIC)
    weight = _float(graph, node, 1, 2, 3, len(graph.extents(graph.value(node.input[1]))) - 1)
    return [_biased(graph, node, graph.apply(node, "MatMul", [graph.value(node.input[0]), weight]), 4)]


def _biased(graph, node, product, index):
    return graph.apply(node, "Add", [product, graph.value(node.input[index])]) if _name(node, index) else product


def dynamic_lstm(graph, node, attrs):
    """DynamicQuantizeLSTM (X, W, R, B, lengths, h, c, P, w_scale, w_zero_point, r_scale, r_zero_point), W and R transposed."""
    graph.notes.add(DYNAMIC)
    values = [graph.value(name) if name else None for name in node.input[:8]]
    for index, scale_index in ((1, 8), (2, 10)):
        weight, scale, zero = graph.known(node.input[index]), graph.known(node.input[scale_index]), graph.known(node.input[scale_index + 1])
        scale, zero = (v.reshape(v.shape[0], 1, -1) if v.size > 1 else v.reshape(1, 1, 1) for v in (scale, zero))
        values[index] = np.ascontiguousarray(((weight.astype("int32") - zero.astype("int32")) * scale).astype("float32").transpose(0, 2, 1))
    return graph.apply(node, "LSTM", values, node.attribute, outputs=len(node.output))


def moved(graph, node, attrs):
    """Codes that are only moved: the values are moved, and are marked as quantised again."""
    codes = graph.value(node.input[0])
    others = [graph.value(name) if name else None for name in node.input[1:]]
    results = graph.apply(node, node.op_type, [codes.value, *others], node.attribute, outputs=len(node.output))
    return [Codes(codes.scale.pair(graph, node, value), codes.scale) for value in results]


def concatenated(graph, node, attrs):
    """Codes of one scale side by side."""
    parts = [graph.value(name) for name in node.input]
    value = graph.apply(node, "Concat", [part.value for part in parts], node.attribute)
    return [Codes(parts[0].scale.pair(graph, node, value), parts[0].scale)]


def converter_of(graph, node):
    """The converter of a node that is or reads something quantised, else None."""
    values = [graph.value(name) for name in node.input if graph.has(name)]
    if node.op_type in CONVERTERS:
        return CONVERTERS[node.op_type]
    if any(isinstance(value, (Scaled, ZeroPoint)) for value in values):
        return scaled
    static = [isinstance(value, Codes) and value.scale is not None for value in values]
    if node.op_type in MOVES and static[:1] == [True]:
        return moved
    if node.op_type == "Concat" and all(static) and len({value.scale for value in values}) == 1:
        return concatenated
    return None


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
    "MatMulIntegerToFloat": product_to_float,
    "DynamicQuantizeMatMul": dynamic_product,
    "DynamicQuantizeLSTM": dynamic_lstm,
    "MatMulNBits": blocked_product,
} | dict.fromkeys(_FLOAT_OF, qlinear_elementwise)
