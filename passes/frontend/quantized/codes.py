"""Values of networks that come quantised, on the way to the hub: what tensors of integers stand for.

    QuantizeLinear(x, s, z)          -> Codes(y = R.dequantize(R.quantize(x, s, z), s, z))
            whoever dequantises the codes reads y
    f(Codes(x)) that only moves data -> Codes(f(x)) of the same scale
    DynamicQuantizeLinear(x)         -> Codes(x), its scale and zero point: ranges become static by calibration, so x
                                     itself stands for the codes
    MatMulInteger(Codes(x), w)       -> Scaled(x @ w, -1): the product divided by the scale that is known at run time;
                                     factors of that scale cancel
    MatMulInteger(Codes(x, s), w)    -> int32 sums, beside a float32 tensor of the same numbers: integer_products.py
A scale per channel is a factor per channel of codes that all have the scale 1: a layer that keeps channels apart takes
the factors into its weights.
uint8 codes are int8 codes plus 128, so that zero points are one lower by as much.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from tvm import relax

from ....targets.errors import UnsupportedModelError

if TYPE_CHECKING:
    import onnx
    import tvm

    from ..importer import OnnxImporter

Emit = Callable[[relax.Expr, str], relax.Var]  # Binds an expression; the text is what its name ends with.
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

    def integers(self, emit: Emit, x: relax.Expr) -> relax.Var:
        """The codes of x as the file has them, for whoever wants the integers themselves."""
        zero = relax.const(np.array(self.zero_point, self.dtype), self.dtype)
        codes = relax.op.quantize(x, relax.const(np.float32(self.scale)), zero, axis=-1, out_dtype=self.dtype)
        return emit(codes, "codes")

    def of_integers(self, graph: "OnnxImporter", node: "onnx.NodeProto", whole: relax.Expr) -> relax.Var:
        """What integers as float32 stand for, marked as quantised."""
        return self.pair(graph, node, self.of_steps(graph, node, whole))

    def of_steps(self, graph: "OnnxImporter", node: "onnx.NodeProto", whole: relax.Expr) -> relax.Var:
        """What integers as float32 stand for: f32(q - z) * s."""
        steps = graph.emit(relax.op.subtract(whole, relax.const(np.float32(self.zero_point))), node, "steps")
        return graph.emit(relax.op.multiply(steps, relax.const(np.float32(self.scale))), node, "real")


@dataclass(frozen=True)
class ChannelScale:
    """The same with a scale for each channel.

    scale: float32 > 0 each; zero_point: as the file says; axis: of the channels; rank: of the tensor."""

    scale: tuple[float, ...]
    zero_point: tuple[int, ...]
    dtype: str
    axis: int
    rank: int

    def pair(
        self,
        graph: "OnnxImporter",
        node: "onnx.NodeProto",
        x: relax.Expr,
        name: str = "",
        bounds: "tuple[np.ndarray, np.ndarray] | None" = None,
    ) -> relax.Var:
        """R.dequantize(R.quantize(x / scale + shift, 1, z), 1, z) * scale - shift * scale: z is one of the zero points,
        and shift how far the others lie from it. bounds: the least and the greatest code of each channel."""
        steps = self._steps(lambda expr, suffix: graph.emit(expr, node, f"{name}{suffix}"), x)
        steps = self._one().pair(graph, node, steps, name)
        if bounds is not None:
            least, most = (self._along(bound - self.zero_point[0]) for bound in bounds)
            steps = graph.emit(relax.op.maximum(steps, least), node, f"{name}least")
            steps = graph.emit(relax.op.minimum(steps, most), node, f"{name}most")
            steps = self._one().pair(graph, node, steps, f"{name}clipped.")
        return self.real(graph, node, steps, name)

    def codes_of(self, value: float) -> np.ndarray:
        """The code of a number in each channel."""
        limits = np.iinfo(self.dtype)
        steps = np.rint(np.float32(value) / np.array(self.scale, np.float32)) + np.array(self.zero_point)
        return np.clip(steps, limits.min, limits.max)

    def real(self, graph: "OnnxImporter", node: "onnx.NodeProto", steps: relax.Expr, name: str = "") -> relax.Var:
        """What steps away from the common zero point stand for."""
        real = graph.emit(relax.op.multiply(steps, self._along(self.scale)), node, f"{name}real")
        if not self._shift.any():
            return real
        beyond = np.array(self.scale, np.float32) * self._shift.astype(np.float32)
        return graph.emit(relax.op.subtract(real, self._along(beyond)), node, f"{name}centred")

    def integers(self, emit: Emit, x: relax.Expr) -> relax.Var:
        """The codes of x as the file has them."""
        return self._one().integers(emit, self._steps(emit, x))

    def of_integers(self, graph: "OnnxImporter", node: "onnx.NodeProto", whole: relax.Expr) -> relax.Var:
        """What integers as float32 stand for, marked as quantised."""
        zero = relax.const(np.float32(self.zero_point[0]))
        steps = graph.emit(relax.op.subtract(whole, zero), node, "steps")
        return self.real(graph, node, self._one().pair(graph, node, steps))

    def _one(self) -> Scale:
        return Scale(1.0, self.zero_point[0], self.dtype)

    @property
    def _shift(self) -> np.ndarray:
        return np.array(self.zero_point) - self.zero_point[0]

    def _along(self, values: "Sequence[float] | np.ndarray") -> "tvm.ir.GenericConst":
        return relax.const(broadcast_along(np.array(values, np.float32), self.rank, self.axis))

    def _steps(self, emit: Emit, x: relax.Expr) -> relax.Var:
        steps = emit(relax.op.divide(x, self._along(self.scale)), "shares")
        return emit(relax.op.add(steps, self._along(self._shift)), "shifted") if self._shift.any() else steps


@dataclass(frozen=True)
class Codes:
    """A quantised tensor. value: the float expression that it stands for, already rounded; scale: None where it is
    known at run time only."""

    value: relax.Expr
    scale: Scale | ChannelScale | None


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
    graph: "OnnxImporter",
    node: "onnx.NodeProto",
    scale_name: str,
    zero_name: str,
    dtype: str = "uint8",
    channels: tuple[int, Sequence[int]] | None = None,
) -> Scale | ChannelScale:
    """The scale of a quantizer's operands; dtype: of a zero point that is left out; channels: (axis, the tensor's
    extents) where there may be a scale per channel. Raises UnsupportedModelError for what is no such 8-bit scale."""
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
    wrong = scale[~(np.isfinite(scale) & (scale > 0))]
    if wrong.size:
        raise UnsupportedModelError(f"has the scale {float(wrong[0])}; a scale is positive and finite")
    if scale.size == 1 == zero.size:
        return Scale(float(np.float32(scale.reshape(-1)[0])), int(zero.reshape(-1)[0]), str(zero.dtype))
    if channels is None or scale.ndim != 1:
        raise UnsupportedModelError(
            "quantises a computed tensor with a scale per channel or block, which only constants may have here; "
            "export it per tensor"
        )
    axis, extents = channels
    check_grid(scale, zero, extents, axis)
    scales, zeros = (np.broadcast_to(each.reshape(-1), extents[axis]) for each in (scale.astype("float32"), zero))
    return ChannelScale(
        tuple(scales.tolist()), tuple(zeros.tolist()), str(zero.dtype), axis % len(extents), len(extents)
    )


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
