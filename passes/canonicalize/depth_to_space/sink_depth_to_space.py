"""octet.depth_to_space goes behind what computes by element, so that a convolution meets its bias and activation again.
Needs NormalizeArithmetic.

f(depth_to_space(x)) = depth_to_space(f(x));   f(depth_to_space(x), c) = depth_to_space(f(x, c for every phase)), c a
constant that is a scalar or has one value per channel. A slice of rows and columns behind it goes along.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
from tvm import relax
from tvm.ir import Call, IRModule, Op

from ... import ops
from ...operators.registry import traits_of
from ...ops import is_tensor, shape_of
from ...rewriting.rule import RewriteGraph, rewrite
from ..questions import constant

_MOVED = ("int8", "float32")  # The types of which octet.depth_to_space moves elements.


@dataclass(frozen=True)
class SinkDepthToSpace:
    """Moves only what one operator reads; one with another computed operand keeps its place, and so does one whose
    constants differ from pixel to pixel."""

    def __call__(self, mod: IRModule) -> IRModule:
        """The module in which pixels come out of channels as late as functions of single elements let them."""
        return rewrite(mod, _sink)


@dataclass(frozen=True)
class _Pixels:
    """A tensor that is depth_to_space(source), or what a slice keeps of its rows and columns."""

    source: relax.Expr
    strides: list[int]
    kept: relax.Call | None


def _sink(graph: RewriteGraph, call: relax.Expr, var: relax.Var) -> relax.Expr | None:
    count = traits_of(call.op.name).elementwise if isinstance(call, Call) and isinstance(call.op, Op) else 0
    if not count or len(shape_of(var)) != 4 or str(var.ty.dtype) not in _MOVED:
        return None
    moved = [_pixels(graph, x) for x in call.args[:count]]
    first = next((pixels for pixels in moved if pixels is not None), None)
    if first is None or (first.kept is not None and sum(pixels is not None for pixels in moved) > 1):
        return None
    sources = [_before(x, pixels, first.strides, shape_of(var)) for x, pixels in zip(call.args, moved)]
    parameters = [_parameter(x, first.strides) if is_tensor(x) else x for x in call.args[count:]]
    operands = [x for x in (*sources, *parameters) if x is not None]
    if len(operands) < len(call.args):
        return None
    made = graph.emit(Call(call.op, operands, call.attrs, call.ty_args), like=var)
    out = ops.call("octet.depth_to_space", [made], strides=first.strides)
    return out if first.kept is None else Call(first.kept.op, [graph.emit(out), *first.kept.args[1:]], first.kept.attrs)


def _pixels(graph: RewriteGraph, operand: relax.Expr) -> _Pixels | None:
    if not graph.used_once(operand):
        return None
    kept = graph.match(operand, "relax.strided_slice")
    if kept is not None and [int(axis.value) for axis in kept.args[1].fields] == [2, 3]:
        inner = _pixels(graph, kept.args[0])
        return None if inner is None or inner.kept is not None else _Pixels(inner.source, inner.strides, kept)
    moved = graph.match(operand, "octet.depth_to_space")
    return None if moved is None else _Pixels(moved.args[0], ops.attrs_of(moved)["strides"], None)


def _before(
    operand: relax.Expr, pixels: _Pixels | None, strides: Sequence[int], shape: tuple[int, ...]
) -> relax.Expr | None:
    """The operand as it lies in front of the pixels' move; None where it has no such form."""
    if pixels is not None:
        return pixels.source if pixels.strides == strides and shape_of(operand) == shape else None
    value = constant(operand)
    if value is None or value.ndim > 4:
        return None
    if value.size == 1:
        return operand
    per_channel = value.size == shape[1] and (1,) * (4 - value.ndim) + value.shape == (1, shape[1], 1, 1)
    return _repeated(value.reshape(1, -1, 1, 1), 1, strides) if per_channel else None


def _parameter(operand: relax.Expr, strides: Sequence[int]) -> relax.Expr | None:
    """A scale, a zero point or a slope: a scalar, or one per channel."""
    value = constant(operand)
    if value is None or value.ndim > 1:
        return None
    return operand if value.size == 1 else _repeated(value, 0, strides)


def _repeated(value: np.ndarray, axis: int, strides: Sequence[int]) -> relax.Expr:
    return relax.const(np.concatenate([value] * prod(strides), axis), str(value.dtype))
