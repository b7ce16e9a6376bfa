"""Layers with weights, products of two computed tensors, and look-ups of rows. Equations: passes/ops.py."""

from typing import TYPE_CHECKING

from .attributes import CLIP_FLOAT, CLIP_INT8, ZERO_POINT, choice, integer, integers, real
from .definition import Arguments, Form, Operand, OperandType, Operator
from .shapes import broadcast, window_count
from .traits import Traits

if TYPE_CHECKING:
    from .attributes import Attribute

_GEOMETRY = {
    "strides": integers(2, 1),
    "padding": integers(4, 0),
    "dilation": integers(2, 1),
    "groups": integer(1),
}  # The padding is top, left, bottom, right.
_FLOAT = {"clip_min": CLIP_FLOAT, "clip_max": CLIP_FLOAT}
_INT8 = {"clip_min": CLIP_INT8, "clip_max": CLIP_INT8, "out_zero_point": ZERO_POINT}
_UNUSED = {"out_zero_point": integer(-128, 127, optional=True)}  # A float32 result has no zero point.
_RESIDUAL = {"residual_zero_point": integer(-128, 127, optional=True), "residual_multiplier": real(optional=True)}
_INTEGERS = (
    Operand("data", ("int8",)),
    Operand("weight", ("int8",)),
    Operand("bias", ("int32",)),
    Operand("multiplier", ("float32",)),
)


def _floats(data: str) -> tuple[Operand, ...]:
    return (
        Operand("data", (data,)),
        Operand("weight", ("float32",)),
        Operand("bias", ("float32",)),
        Operand("residual", ("float32",), optional=True),
    )


def _forms(more: "dict[str, Attribute]", more_bfloat16: "dict[str, Attribute]") -> tuple[Form, ...]:
    """The four forms of a layer; more: the attributes that only this layer has."""
    integer_attrs = more | _RESIDUAL | {"data_zero_point": ZERO_POINT}
    return (
        Form(
            (*_INTEGERS, Operand("residual", ("int8",), optional=True)),
            integer_attrs | _INT8 | {"out_dtype": choice("int8")},
        ),
        Form(_INTEGERS, integer_attrs | _FLOAT | _UNUSED | {"out_dtype": choice("float32")}),
        Form(_floats("float32"), more | _FLOAT | {"out_dtype": choice("float32")}),
        Form(_floats("bfloat16"), more_bfloat16 | _FLOAT | {"out_dtype": choice("float32", "bfloat16")}),
    )


def _check_residual(a: Arguments) -> None:
    if len(a.tensors) == 5:
        for name in _RESIDUAL:
            a.require(name in a.attrs, f"has a residual, but no attribute {name}")


def _vectors(a: Arguments, channels: int, result: OperandType) -> OperandType:
    """Bias and multiplier hold one value per output channel, a residual has the result's shape."""
    for tensor in a.tensors[2:]:
        a.require(
            tensor.shape in ([channels], result.shape),
            f"operand {tensor} is neither [{channels}] nor of the result's shape {result.shape}",
        )
    return result


def _conv2d(a: Arguments) -> OperandType:
    (n, c, h, w), (o, depth, kh, kw) = a.shape(0), a.shape(1)
    groups, (top, left, bottom, right) = a.attrs["groups"], a.attrs["padding"]
    a.require(
        c == depth * groups and o % groups == 0,
        f"weight {a.shape(1)} in {groups} groups does not fit data {a.shape(0)}",
    )
    (sh, sw), (dh, dw) = a.attrs["strides"], a.attrs["dilation"]
    size = [window_count(h, top, bottom, kh, sh, dh), window_count(w, left, right, kw, sw, dw)]
    return _vectors(a, o, OperandType([n, o, *size], a.attrs["out_dtype"]))


def _dense(a: Arguments) -> OperandType:
    (*rows, k), (depth, n) = a.shape(0), a.shape(1)
    if a.tensors[1].dtype == "int8":
        depth, n = n, depth
    a.require(k == depth, f"weight {a.shape(1)} does not fit data {a.shape(0)}")
    return _vectors(a, n, OperandType([*rows, n], a.attrs["out_dtype"]))


def _matmul(a: Arguments) -> OperandType:
    x, y = a.shape(0), a.shape(1)
    a.require(min(len(x), len(y)) >= 2 and x[-1] == y[-2], f"a matrix product of {x} and {y}")
    return OperandType(broadcast(a, x[:-2], y[:-2]) + [x[-2], y[-1]], a.attrs["out_dtype"])


def _embedding(a: Arguments) -> OperandType:
    (rows, width), indices = a.shape(0), a.shape(2)
    a.require(width > 1, "its rows are single elements")
    a.require(a.shape(1) == [rows], f"scales {a.shape(1)} of a table {a.shape(0)}; expected one per row")
    return OperandType([*indices, width], "float32")


_PRODUCT = {
    "multiplier": real(low=0),
    "a_zero_point": integer(-128, 127, optional=True),
    "b_zero_point": integer(-128, 127, optional=True),
}
_PAIR = (Operand("a", ("int8",)), Operand("b", ("int8",)))

LAYERS = (
    Operator(
        "octet.conv2d",
        "convolution of NCHW data with OIHW weights, bias, residual and clip",
        forms=_forms(_GEOMETRY, _GEOMETRY | {"groups": choice(1)}),
        result=_conv2d,
        traits=Traits(multiplies=True, samples="images"),
        check=_check_residual,
    ),
    Operator(
        "octet.dense",
        "linear layer over the last axis with weights [N, K] (float32: [K, N]), bias, residual and clip",
        forms=_forms({}, {}),
        result=_dense,
        traits=Traits(multiplies=True, samples="rows"),
        check=_check_residual,
    ),
    Operator(
        "octet.matmul",
        "product of two computed matrices",
        forms=(
            Form(_PAIR, _PRODUCT | _INT8 | {"out_dtype": choice("int8")}),
            Form(_PAIR, _PRODUCT | _FLOAT | _UNUSED | {"out_dtype": choice("float32")}),
        ),
        result=_matmul,
        traits=Traits(multiplies=True, samples="product"),
    ),
    Operator(
        "octet.embedding",
        "rows of an int8 table, each with a scale of its own",
        forms=(
            Form(
                (Operand("table", ("int8",)), Operand("scale", ("float32",)), Operand("indices", ("int32", "int64"))),
                {},
            ),
        ),
        result=_embedding,
        traits=Traits(samples="look_up"),
    ),
)
