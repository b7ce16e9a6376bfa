"""Windows over images, NCHW. Equations: passes/ops.py."""

from .attributes import CLIP_INT8, FLAG, ZERO_POINT, integer, integers, numbers, real
from .definition import Arguments, Form, Operand, OperandType, Operator
from .shapes import image, window_count
from .traits import Traits

# octet.resize2d's weights are at most this: the int32 sums stay below 2**24, where float32 holds them exactly.
LARGEST_UNIT = 128

_X = Operand("x", ("int8",))
_REQUANTIZE = {
    "data_zero_point": ZERO_POINT,
    "multiplier": real(low=0),
    "out_zero_point": ZERO_POINT,
    "clip_min": CLIP_INT8,
    "clip_max": CLIP_INT8,
}


def _avg_pool2d(a: Arguments) -> OperandType:
    n, c, h, w = image(a)
    top, left, bottom, right = a.attrs["padding"]
    (kh, kw), (sh, sw) = a.attrs["pool_size"], a.attrs["strides"]
    return OperandType([n, c, window_count(h, top, bottom, kh, sh), window_count(w, left, right, kw, sw)], "int8")


def _resize2d(a: Arguments) -> OperandType:
    n, c, *_ = image(a)
    for tensor in a.tensors[1:]:
        a.require(len(tensor.shape) == 2 and tensor.shape[1] == 3, f"taps {tensor}; expected int32[extent, 3]")
    return OperandType([n, c, a.shape(1)[0], a.shape(2)[0]], "int8")


def _interleave(a: Arguments) -> OperandType:
    n, c, h, w = image(a)
    sh, sw = a.attrs["strides"]
    return OperandType([n, c, (h - 1) * sh + 1, (w - 1) * sw + 1], a.tensors[0].dtype)


def _depth_to_space(a: Arguments) -> OperandType:
    n, c, h, w = image(a)
    sh, sw = a.attrs["strides"]
    a.require(c % (sh * sw) == 0, f"{c} channels for {sh} x {sw} pixels each")
    return OperandType([n, c // (sh * sw), h * sh, w * sw], a.tensors[0].dtype)


def _frame(a: Arguments) -> OperandType:
    n, c, h, w = image(a)
    top, left, bottom, right = a.attrs["padding"]
    a.require(len(a.attrs["fill"]) == c, f"{len(a.attrs['fill'])} values for {c} channels")
    return OperandType([n, c, top + h + bottom, left + w + right], a.tensors[0].dtype)


_WINDOW = {"pool_size": integers(2, 1), "strides": integers(2, 1), "padding": integers(4, 0), "count_include_pad": FLAG}
_UNITS = {"row_units": integer(1, LARGEST_UNIT), "column_units": integer(1, LARGEST_UNIT)}
_TAPS = (Operand("rows", ("int32",)), Operand("columns", ("int32",)))

IMAGES = (
    Operator(
        "octet.avg_pool2d",
        "average over windows",
        forms=(Form((_X,), _WINDOW | _REQUANTIZE),),
        result=_avg_pool2d,
        traits=Traits(samples="images"),
    ),
    Operator(
        "octet.resize2d",
        "linear interpolation with whole weights",
        forms=(Form((_X, *_TAPS), _UNITS | _REQUANTIZE),),
        result=_resize2d,
        traits=Traits(samples="images"),
    ),
    Operator(
        "octet.interleave",
        "`fill` between neighbours",
        forms=(
            Form((_X,), {"strides": integers(2, 1), "fill": integer(-128, 127)}),
            Form((Operand("x", ("float32",)),), {"strides": integers(2, 1), "fill": real(finite=False)}),
        ),
        result=_interleave,
        traits=Traits(moves=True, samples="images"),
    ),
    Operator(
        "octet.depth_to_space",
        "channels become pixels between the others",
        forms=(Form((Operand("x", ("int8", "float32")),), {"strides": integers(2, 1)}),),
        result=_depth_to_space,
        traits=Traits(moves=True, samples="images"),
    ),
    Operator(
        "octet.frame",
        "a frame around images, of one value per channel",
        forms=(
            Form((_X,), {"padding": integers(4, 0), "fill": numbers(-128, 127, whole=True)}),
            Form((Operand("x", ("float32",)),), {"padding": integers(4, 0), "fill": numbers()}),
        ),
        result=_frame,
        traits=Traits(moves=True, samples="images"),
    ),
)
