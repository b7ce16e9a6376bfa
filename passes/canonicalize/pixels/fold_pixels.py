"""Mean and deviation of pixels move into the first layer, which then reads integers as they are.

L(x * s + t; w) = L(x; w * s) + L(t; w), and where a convolution pads with zeros behind the sum
conv_p(x * s + t; w) = conv_0(frame_p(x; -t/s), w * s) + sum(w * t):   a frame of what becomes zero, one value per
                                                                       channel

for a Cast x of 8-bit integers and any row of sums and products, s and t per channel. Needs RaiseTransposes, FoldPad and
NormalizeArithmetic. The integers are a tensor of scale 1, of which nothing is rounded; in the frame -t/s is, to the
nearest integer."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from tvm import relax
from tvm.ir import Call, IRModule

from ... import ops
from ...ops import shape_of
from ...rewriting.rule import RewriteGraph, rewrite
from ..channel import behind, by_input, channel_values
from ..questions import constant, known
from .integers import limits_of, steps_behind


@dataclass(frozen=True)
class FoldPixels:
    """Applies only where the layer is the only reader, and zero is a value between two pixels (a frame could not hold
    it otherwise)."""

    def __call__(self, mod: IRModule) -> IRModule:
        """The module whose first layer reads pixels as they are; where it cannot, mean and deviation stay."""
        return rewrite(mod, _fold)


def _fold(graph: RewriteGraph, call: relax.Call, var: relax.Var) -> relax.Expr | None:
    if not ops.is_op(call, "relax.nn.conv2d", "relax.matmul"):
        return None
    weight, is_conv = constant(call.args[1]), ops.is_op(call, "relax.nn.conv2d")
    found = steps_behind(graph, call.args[0])
    if weight is None or (not is_conv and weight.ndim != 2) or found is None or not found[0]:
        return None
    line = _line(found[0], shape_of(call.args[0]), 1 if is_conv else -1)
    if line is None:
        graph.note(f"{call.args[0].name}: was not folded into {var.name}: it is no factor and term per channel")
        return None
    (scale, shift), pixels = line, found[1]
    scaled = relax.const(by_input(weight, scale).astype("float32"))
    padding = [int(width) for width in call.attrs.padding] if is_conv else []
    if not any(padding) or not shift.any():
        layer = Call(call.op, [pixels, scaled], call.attrs, call.ty_args)
    else:
        limits = limits_of(graph, pixels)
        assert limits is not None, "steps_behind ends at integers"
        zeros, (least, greatest) = -shift / scale, limits
        if not np.all((zeros >= least) & (zeros <= greatest)):
            graph.note(
                f"{call.args[0].name}: the term was not folded into {var.name}, which pads: zero is none of the "
                f"{least} to {greatest} that pixels are"
            )
            return None
        framed = graph.emit(
            ops.call("octet.frame", [pixels], padding=padding, fill=[float(value) for value in zeros.astype("float32")])
        )
        geometry = {"strides": call.attrs.strides, "dilation": call.attrs.dilation, "groups": call.attrs.groups}
        layer = relax.op.nn.conv2d(framed, scaled, padding=[0, 0, 0, 0], **geometry)
    return relax.op.add(graph.emit(layer, like=var), relax.const(behind(weight, shift))) if shift.any() else layer


def _line(steps: Sequence[relax.Expr], shape: tuple[int, ...], axis: int) -> tuple[np.ndarray, ...] | None:
    """(factor, term) per channel, float64, of the steps together, the last one first; None where they are no such line,
    or the factor is 0 somewhere."""
    scale, shift = np.ones(shape[axis]), np.zeros(shape[axis])
    for step in steps:
        value = (
            None
            if ops.is_op(step, "relax.nn.pad") or shape_of(step.args[0]) != shape_of(step)
            else channel_values(known(step.args[1]), shape, axis)
        )
        if value is None:
            return None
        if ops.is_op(step, "relax.multiply"):
            scale = scale * value
        else:
            shift = shift + scale * value
    return (scale, shift) if np.all(scale != 0) and np.all(np.isfinite(scale)) and np.all(np.isfinite(shift)) else None
