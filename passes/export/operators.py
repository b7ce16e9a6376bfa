"""One Relax operator -> its ONNX nodes (opset 17): the table of the exporter.

An exporter is `function(call, operands, out) -> result`: operands are the ONNX names of the tensor operands, `out` an
`Emitter`.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...targets.errors import UnsupportedModelError
from ..ops import attrs_of, shape_of
from ..referee.elementwise import FUNCTIONS
from . import movement, normalization, recurrent, selection
from .borders import depth_to_space, frame, interleave
from .functions import unary
from .movement import Translate
from .sampling import grid_sample, resize, roi_align

if TYPE_CHECKING:
    from tvm import relax, tirx

    from .onnx_qdq import Emitter


def _conv2d(call: "relax.Call", operands: Sequence[str], out: "Emitter") -> str:
    attrs = attrs_of(call)
    if (attrs["data_layout"], attrs["kernel_layout"]) != ("NCHW", "OIHW"):
        raise UnsupportedModelError(
            f"ONNX export: conv2d in layout {attrs['data_layout']}/{attrs['kernel_layout']} has no ONNX form: "
            "canonicalize first"
        )
    return out.node(
        "Conv",
        operands,
        kernel_shape=list(shape_of(call.args[1])[2:]),
        strides=attrs["strides"],
        pads=attrs["padding"],
        dilations=attrs["dilation"],
        group=attrs["groups"],
    )


def _transposed_conv(call: "relax.Call", operands: Sequence[str], out: "Emitter") -> str:
    attrs = attrs_of(call)
    return out.node(
        "ConvTranspose",
        operands,
        kernel_shape=list(shape_of(call.args[1])[2:]),
        strides=attrs["strides"],
        pads=attrs["padding"],
        output_padding=attrs["output_padding"],
        dilations=attrs["dilation"],
        group=attrs["groups"],
    )


def _max_pool(call: "relax.Call", operands: Sequence[str], out: "Emitter") -> str:
    attrs = attrs_of(call)
    return out.node(
        "MaxPool",
        operands,
        kernel_shape=attrs["pool_size"],
        strides=attrs["strides"],
        pads=attrs["padding"],
        dilations=attrs["dilation"],
        ceil_mode=int(attrs["ceil_mode"]),
    )


def _avg_pool(call: "relax.Call", operands: Sequence[str], out: "Emitter") -> str:
    attrs = attrs_of(call)
    if set(attrs["dilation"]) != {1}:
        raise UnsupportedModelError(
            "ONNX export: an average pooling is dilated, which opset 17 cannot say: it cannot be exported"
        )
    return out.node(
        "AveragePool",
        operands,
        kernel_shape=attrs["pool_size"],
        strides=attrs["strides"],
        pads=attrs["padding"],
        ceil_mode=int(attrs["ceil_mode"]),
        count_include_pad=int(attrs["count_include_pad"]),
    )


def _clip(call: "relax.Call", operands: Sequence[str], out: "Emitter") -> str:
    bounds = [out.constant(np.float32(_literal(arg))) for arg in call.args[1:]]
    return out.node("Clip", [operands[0], *bounds])


def _reduce(kind: str) -> Translate:
    def export(call: "relax.Call", operands: Sequence[str], out: "Emitter") -> str:
        attrs = attrs_of(call)
        axes = attrs["axis"] if attrs["axis"] is not None else list(range(len(shape_of(call.args[0]))))
        if kind == "ReduceSum":
            return out.node(
                kind, [operands[0], out.constant(np.array(axes, np.int64))], keepdims=int(attrs["keepdims"])
            )
        if (
            kind == "ReduceMean"
            and sorted(a % 4 for a in axes) == [2, 3]
            and len(shape_of(call.args[0])) == 4
            and attrs["keepdims"]
        ):
            return out.node("GlobalAveragePool", operands)
        return out.node(kind, operands, axes=axes, keepdims=int(attrs["keepdims"]))

    return export


def _prelu(call: "relax.Call", operands: Sequence[str], out: "Emitter") -> str:
    rank, axis = len(shape_of(call)), attrs_of(call)["axis"] % len(shape_of(call))
    shape = [1] * (rank - axis)
    shape[0] = int(np.prod(shape_of(call.args[1])))
    slope = out.node("Reshape", [operands[1], out.constant(np.array(shape, np.int64))])
    return out.node("PRelu", [operands[0], slope])


def _softmax(kind: str) -> Translate:
    return lambda call, operands, out: out.node(kind, operands, axis=attrs_of(call)["axis"])


def _arg(kind: str) -> Translate:
    def export(call: "relax.Call", operands: Sequence[str], out: "Emitter") -> str:
        attrs = attrs_of(call)
        return out.node(kind, operands, axis=attrs["axis"], keepdims=int(attrs["keepdims"]))

    return export


def _cast(call: "relax.Call", operands: Sequence[str], out: "Emitter") -> str:
    return out.node("Cast", operands, to=out.dtype(str(call.ty.dtype)))


def _leaky(call: "relax.Call", operands: Sequence[str], out: "Emitter") -> str:
    return out.node("LeakyRelu", operands, alpha=float(attrs_of(call)["alpha"]))


def _cumsum(call: "relax.Call", operands: Sequence[str], out: "Emitter") -> str:
    attrs = attrs_of(call)
    return out.node("CumSum", [operands[0], out.constant(np.int64(attrs["axis"]))], exclusive=int(attrs["exclusive"]))


def _topk(call: "relax.Call", operands: Sequence[str], out: "Emitter") -> str:
    attrs = attrs_of(call)
    both = out.node(
        "TopK",
        [operands[0], out.constant(np.array([attrs["k"]], np.int64))],
        outputs=2,
        axis=attrs["axis"],
        largest=int(attrs["largest"]),
    )
    return both[0 if attrs["ret_type"] == "values" else 1]


def _qdq(kind: str) -> Translate:
    def export(call: "relax.Call", operands: Sequence[str], out: "Emitter") -> str:
        axis = attrs_of(call)["axis"]
        per_channel = math.prod(shape_of(call.args[1])) > 1
        return out.node(kind, operands, **({"axis": axis} if per_channel else {}))

    return export


def _einsum(call: "relax.Call", operands: Sequence[str], out: "Emitter") -> str:
    return out.node("Einsum", operands, equation=attrs_of(call)["subscripts"])


def _plain(kind: str) -> Translate:
    return lambda call, operands, out: out.node(kind, operands)


def _literal(arg: "tirx.Expr") -> float:
    return float(arg.value)


def _octet_unary(call: "relax.Call", operands: Sequence[str], out: "Emitter") -> str:
    attrs = attrs_of(call)
    return unary(attrs.pop("kind"), operands[0], out, **attrs)


def _relax_unary(kind: str) -> Translate:
    return lambda call, operands, out: unary(kind, operands[0], out)


EXPORTERS = (
    {
        "relax.nn.conv2d": _conv2d,
        "relax.nn.conv2d_transpose": _transposed_conv,
        "relax.nn.max_pool2d": _max_pool,
        "relax.nn.avg_pool2d": _avg_pool,
        **{
            f"relax.nn.{kind}_pool{n}d": pool for n in (1, 3) for kind, pool in (("max", _max_pool), ("avg", _avg_pool))
        },
        "relax.image.grid_sample": grid_sample,
        "relax.vision.roi_align": roi_align,
        "relax.einsum": _einsum,
        "relax.clip": _clip,
        "relax.mean": _reduce("ReduceMean"),
        "relax.sum": _reduce("ReduceSum"),
        "relax.max": _reduce("ReduceMax"),
        "relax.min": _reduce("ReduceMin"),
        "relax.prod": _reduce("ReduceProd"),
        "relax.not_equal": lambda call, operands, out: out.node("Not", [out.node("Equal", operands)]),
        "relax.mod": lambda call, operands, out: out.node("Mod", operands, fmod=1),
        "relax.image.resize2d": resize,
        "octet.interleave": interleave,
        "octet.depth_to_space": depth_to_space,
        "octet.frame": frame,
        "octet.unary": _octet_unary,
        **movement.EXPORTERS,
        **normalization.EXPORTERS,
        **recurrent.EXPORTERS,
        **selection.EXPORTERS,
        "relax.nn.prelu": _prelu,
        "relax.nn.leakyrelu": _leaky,
        "relax.nn.softmax": _softmax("Softmax"),
        "relax.nn.log_softmax": _softmax("LogSoftmax"),
        "relax.argmax": _arg("ArgMax"),
        "relax.argmin": _arg("ArgMin"),
        "relax.gather_elements": lambda call, operands, out: out.node(
            "GatherElements", operands, axis=attrs_of(call)["axis"]
        ),
        "relax.astype": _cast,
        "relax.quantize": _qdq("QuantizeLinear"),
        "relax.dequantize": _qdq("DequantizeLinear"),
        "relax.where": _plain("Where"),
        "relax.cumsum": _cumsum,
        "relax.topk": _topk,
    }
    | {
        f"relax.{name}": _plain(kind)
        for name, kind in {
            "matmul": "MatMul",
            "add": "Add",
            "subtract": "Sub",
            "multiply": "Mul",
            "divide": "Div",
            "power": "Pow",
            "maximum": "Max",
            "minimum": "Min",
            "nn.relu": "Relu",
            "equal": "Equal",
            "less": "Less",
            "less_equal": "LessOrEqual",
            "greater": "Greater",
            "greater_equal": "GreaterOrEqual",
            "logical_not": "Not",
            "logical_xor": "Xor",
            "isnan": "IsNaN",
            "isinf": "IsInf",
            "floor_mod": "Mod",
            "logical_and": "And",
            "logical_or": "Or",
            "negative": "Neg",
        }.items()
    }
    | {f"relax.{name}": _plain(name.capitalize()) for name in FUNCTIONS}
    | {
        f"relax.{name}": _relax_unary(kind)
        for name, kind in {
            "sigmoid": "sigmoid",
            "tanh": "tanh",
            "exp": "exp",
            "log": "log",
            "sqrt": "sqrt",
            "rsqrt": "rsqrt",
            "erf": "erf",
            "abs": "abs",
            "floor": "floor",
            "ceil": "ceil",
            "round": "round",
            "nn.silu": "silu",
            "nn.gelu": "gelu",
            "nn.gelu_tanh": "gelu_tanh",
            "sin": "sin",
            "cos": "cos",
            "sign": "sign",
        }.items()
    }
)
