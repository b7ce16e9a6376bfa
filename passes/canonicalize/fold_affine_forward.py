"""A constant factor and term in front of a layer move into it.

L(x * s + t; w) = L(x; w * s) + L(t; w), s and t per input channel. A factor may go into any convolution; a term only
into one without padding, whose border would otherwise see 0 where it saw t, or where x is quantised, as in files with a
zero point per channel:
conv_p(x * s + t; w) = conv_0(frame_p(x; -t/s); w * s) + L(t; w), where the frame is quantised as x is.
Runs after FoldAffine, for what has no layer behind it (pre-activation networks, normalised inputs, scaled attention
operands).

Factors of an input of the network that differ widely by channel stay in front: they are there because the channels have
different units, and one int8 scale for a tensor of metres beside millimetres would leave nothing of the metres.
"""

from dataclasses import dataclass

import numpy as np
from tvm import relax
from tvm.ir import Call, IRModule

from .. import ops
from ..ops import QMAX, QMIN, shape_of
from ..rewriting.rule import RewriteGraph, rewrite
from .channel import behind, by_input, channel_values
from .questions import constant, is_float, known

_EVEN = 4.0  # Factors that differ by less cost an input at most two of its eight bits.
_WHOLE = 1e-3  # A code may lie beside a whole number by this part of a step, which is rounding.


@dataclass(frozen=True)
class FoldAffineForward:
    """Applies only where the layer is the only user; a term in front of a padded convolution stays and is noted, and so
    does what evens out an input."""

    def __call__(self, mod: IRModule) -> IRModule:
        """The module with constant factors and terms in the weights and biases of the layers behind them."""
        return rewrite(mod, _fold)


def _fold(graph: RewriteGraph, call: relax.Call, var: relax.Var) -> relax.Expr | None:
    if not ops.is_op(call, "relax.nn.conv2d", "relax.matmul") or not is_float(var):
        return None
    x, weight = call.args[0], constant(call.args[1])
    is_conv = ops.is_op(call, "relax.nn.conv2d")
    if weight is None or (not is_conv and weight.ndim != 2):
        return None
    axis = 1 if is_conv else -1
    shift, rest = _operand(graph, x, "relax.add", axis)
    scale, source = _operand(graph, rest, "relax.multiply", axis)
    if shift is None and scale is None:
        return None
    framed = None
    if shift is not None and is_conv and any(int(p) for p in call.attrs.padding):
        framed = _framed(graph, call, source, scale, shift)
        if framed is None:
            graph.note(f"{x.name}: the term in front of {var.name} was not folded: the convolution pads its input")
            return None
    if scale is not None and _spread_of(scale) > _EVEN and _is_input(graph, source):
        graph.note(f"{x.name}: the factor in front of {var.name} was not folded: it evens out the channels of an input")
        return None
    scaled = weight if scale is None else by_input(weight, scale)
    if framed is None:
        new = Call(call.op, [source, relax.const(scaled)], call.attrs, call.ty_args)
    else:
        geometry = {"strides": call.attrs.strides, "dilation": call.attrs.dilation, "groups": call.attrs.groups}
        new = relax.op.nn.conv2d(framed, relax.const(scaled), padding=[0, 0, 0, 0], **geometry)
    return new if shift is None else relax.op.add(graph.emit(new, like=var), relax.const(behind(weight, shift)))


def _framed(
    graph: RewriteGraph, call: relax.Call, source: relax.Expr, scale: np.ndarray | None, shift: np.ndarray
) -> relax.Expr | None:
    """A quantised tensor in a frame of the codes whose channels' factors and terms make zero of them; None where it is
    not quantised, or a code is not whole."""
    real = graph.match(source, "relax.dequantize")
    step = None if real is None else constant(real.args[1])
    if real is None or step is None or step.size != 1 or scale is None or not np.all(scale):
        return None
    fill = -shift.astype(np.float64) / scale
    codes = np.rint(fill / step.reshape(())) + known(real.args[2]).reshape(())
    if np.abs(fill / step - np.rint(fill / step)).max() > _WHOLE or codes.min() < QMIN or codes.max() > QMAX:
        return None
    fill = (np.rint(fill / step) * step).reshape(-1).tolist()
    framed = graph.emit(ops.call("octet.frame", [source], padding=[int(p) for p in call.attrs.padding], fill=fill))
    codes = graph.emit(relax.op.quantize(framed, real.args[1], real.args[2], axis=-1, out_dtype="int8"))
    return graph.emit(relax.op.dequantize(codes, real.args[1], real.args[2], axis=-1))


def _spread_of(scale: np.ndarray) -> float:
    """Largest over smallest magnitude of the factors that are not 0."""
    magnitudes = np.abs(scale[scale != 0])
    return float(magnitudes.max() / magnitudes.min()) if magnitudes.size else 1.0


def _is_input(graph: RewriteGraph, x: relax.Expr) -> bool:
    """Whether x is an input of the network, but for constant terms and factors."""
    call = graph.match(x, "relax.add", "relax.multiply")
    while call is not None and constant(call.args[1]) is not None:
        x = call.args[0]
        call = graph.match(x, "relax.add", "relax.multiply")
    return isinstance(x, relax.Var) and not isinstance(x, relax.DataflowVar)


def _operand(graph: RewriteGraph, x: relax.Expr, name: str, axis: int) -> tuple[np.ndarray | None, relax.Expr]:
    """The per-channel constant of x = op(rest, constant), and rest; (None, x) where x is not that or has other
    users."""
    call = graph.match(x, name)
    value = constant(call.args[1]) if call is not None else None
    if value is None or not graph.used_once(x) or shape_of(call.args[0]) != shape_of(x):
        return None, x
    vector = channel_values(value, shape_of(x), axis)
    return (None, x) if vector is None else (vector, call.args[0])
