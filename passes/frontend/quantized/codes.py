"""Values of networks that come quantised, on the way to the hub: what tensors of integers stand for.

    QuantizeLinear(x, s, z)          -> Codes(y = R.dequantize(R.quantize(x, s, z), s, z))
            whoever dequantises the codes reads y
    f(Codes(x)) that only moves data -> Codes(f(x)) of the same scale
    DynamicQuantizeLinear(x)         -> Codes(x), its scale and zero point: ranges become static by calibration, so x
                                     itself stands for the codes
    MatMulInteger(Codes(x), w)       -> Scaled(x @ w, -1): the product divided by the scale that is known at run time;
                                     factors of that scale cancel
uint8 codes are int8 codes plus 128, so that zero points are one lower by as much.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from tvm import relax

from ....targets.errors import UnsupportedModelError

if TYPE_CHECKING:
    import onnx
    import tvm

    from ..importer import OnnxImporter

OFFSETS = {"int8": 0, "uint8": 128}
MOVES = frozenset(
    {
        "Reshape",
        "Transpose",
        "Flatten",
        "Squeeze",
        "Unsqueeze",
        "Identity",
        "MaxPool",
        "Slice",
        "Gather",
        "Split",
        "Tile",
        "Expand",
        "DepthToSpace",
        "SpaceToDepth",
    }
)


@dataclass(frozen=True)
class Scale:
    """How a file's integers stand for float values.

    scale: float32 > 0; zero_point: as the file says; dtype: "int8" or "uint8"."""

    scale: float
    zero_point: int
    dtype: str

    def pair(self, graph: "OnnxImporter", node: "onnx.NodeProto", x: relax.Expr, name: str = "") -> relax.Var:
        """R.dequantize(R.quantize(x)) with this scale and zero point."""
        scale, zero = self.constants()
        codes = graph.emit(relax.op.quantize(x, scale, zero, axis=-1, out_dtype="int8"), node, f"{name}quantize")
        return graph.emit(relax.op.dequantize(codes, scale, zero, axis=-1), node, f"{name}dequantize")

    def constants(self) -> "tuple[tvm.ir.GenericConst, tvm.ir.GenericConst]":
        """(scale, zero point of the int8 codes), as expressions."""
        return relax.const(np.float32(self.scale)), relax.const(np.int8(self.zero_point - OFFSETS[self.dtype]))

    def integers(self, x: relax.Expr) -> relax.Call:
        """The codes of x as the file has them, for whoever wants the integers themselves."""
        zero = relax.const(np.array(self.zero_point, self.dtype), self.dtype)
        return relax.op.quantize(x, relax.const(np.float32(self.scale)), zero, axis=-1, out_dtype=self.dtype)


@dataclass(frozen=True)
class Codes:
    """A quantised tensor. value: the float expression that it stands for, already rounded; scale: None where it is
    known at run time only."""

    value: relax.Expr
    scale: Scale | None


@dataclass(frozen=True)
class Scaled:
    """value (an expression or array) times scale(source) ** power, a scale known at run time only."""

    value: object
    source: relax.Expr
    power: int


@dataclass(frozen=True)
class ZeroPoint:
    """A zero point that is known at run time only: that of the codes of `source`."""

    source: relax.Expr


def scale_of(
    graph: "OnnxImporter", node: "onnx.NodeProto", scale_name: str, zero_name: str, dtype: str = "uint8"
) -> Scale:
    """The Scale of a quantizer's operands; dtype: of a zero point that is left out. Raises UnsupportedModelError for
    what is no 8-bit scale of a whole tensor."""
    scale = graph.known(scale_name)
    zero = graph.known(zero_name) if zero_name else np.array(0, dtype)
    if scale is None or zero is None:
        raise UnsupportedModelError(
            "computes its scale at run time; export it with constant scales, or give the fp32 network"
        )
    if str(zero.dtype) not in OFFSETS:
        raise UnsupportedModelError(
            f"quantises to {zero.dtype}; only int8 and uint8 are supported, give the fp32 network it was made from"
        )
    if scale.size != 1 or zero.size != 1:
        raise UnsupportedModelError(
            "quantises a computed tensor with a scale per channel; only constants may have one, export it per tensor"
        )
    value = float(np.float32(scale.reshape(-1)[0]))
    if not (np.isfinite(value) and value > 0):
        raise UnsupportedModelError(f"has the scale {value}; a scale is positive and finite")
    return Scale(value, int(zero.reshape(-1)[0]), str(zero.dtype))


def broadcast_along(values: np.ndarray, rank: int, axis: int) -> np.ndarray:
    """Scales or zero points of an axis, ready to be broadcast."""
    shape = [1] * rank
    if values.size > 1:
        if not -rank <= axis < rank:
            raise UnsupportedModelError(f"has axis {axis} of {rank}; export it again")
        shape[axis] = -1
    return values.reshape(shape)


def check_grid(scale: np.ndarray, zero: np.ndarray, extents: Sequence[int], axis: int) -> None:
    """Raises UnsupportedModelError unless the scales, one or as many as an axis has elements, are numbers of at least 0
    (a channel of zeros may have no step), and the zero points as many, or one."""
    if not (np.isfinite(scale).all() and (scale >= 0).all()):
        raise UnsupportedModelError(f"has the scale {float(scale.min())}; a scale is positive and finite")
    broadcast_along(scale, len(extents), axis)
    for what, values in (("scales", scale), ("zero points", zero)):
        if values.size > 1 and values.size != extents[axis]:
            raise UnsupportedModelError(f"has {values.size} {what} along an axis of {extents[axis]}; export it again")
