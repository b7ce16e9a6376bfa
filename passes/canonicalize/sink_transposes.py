"""Transposes between channels-first and channels-last go behind what computes by element, where they meet the transpose
back. Needs NormalizeArithmetic.

f(transpose(x)) = transpose(f(x));   f(transpose(x), c) = transpose(f(x, transpose^-1(c)));
f(transpose(x), transpose(y)) = transpose(f(x, y));
concat and pad likewise, and mean over axes A = mean over the axes that A was taken from, with a transpose where they
are kept.

Networks of channels-last frameworks have convolutions between transposes, and everything else on [N, H, W, C]. Once the
transposes are gone a term or factor per channel has its axis 1 again, where the layers take it. `RemoveNoops` drops the
pairs that meet.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from tvm import relax
from tvm.ir import Call, IRModule, Op

from .. import ops
from ..operators.registry import traits_of
from ..ops import permutation, shape_of
from ..rewriting.rule import RewriteGraph, rewrite
from .questions import channels_last, channels_second, constant, is_float

_REDUCTIONS = ("relax.mean", "relax.sum", "relax.max", "relax.min")
_WITH_AN_AXIS = ("relax.nn.prelu", "relax.quantize", "relax.dequantize")


@dataclass(frozen=True)
class SinkTransposes:
    """Moves only transposes [0, 2, .., 1] of rank 3 and 4, and only on ways that lead to a transpose back or a
    reduction: elsewhere the channels are wanted where they are. An operator with one operand that is not so transposed,
    nor constant, keeps its transposes."""

    def __call__(self, mod: IRModule) -> IRModule:
        """The module whose transposes stand in front of what needs them, or met their inverse and went."""
        returning = _returning(mod["main"].body.blocks[0].bindings)
        return rewrite(mod, lambda graph, call, var: _sink(graph, call, var) if var in returning else None)


def _returning(bindings: Sequence[relax.VarBinding]) -> set[relax.Var]:
    """The variables behind which, by element or concatenation, some way leads to channels first, or to no channels last
    at all."""
    returning: set[relax.Expr] = set()
    for binding in reversed(bindings):
        call = binding.value
        if (
            not isinstance(call, Call)
            or not isinstance(call.op, Op)
            or not isinstance(binding.var.ty, relax.TensorType)
        ):
            if isinstance(call, relax.Tuple) and binding.var in returning:  # A concat has its operands in a tuple.
                returning.update(relax.analysis.free_vars(call))
            continue
        reduces = ops.is_op(call, *_REDUCTIONS)
        if reduces and not call.attrs.keepdims:
            returning.add(binding.var)
        rank = len(shape_of(binding.var))
        back = ops.is_op(call, "relax.permute_dims") and permutation(call) == channels_second(rank)
        through = binding.var in returning and (
            reduces or ops.is_op(call, "relax.concat", "relax.nn.pad") or traits_of(call.op.name).elementwise
        )
        if back or through:
            returning.update(relax.analysis.free_vars(call))
    return returning


def _sink(graph: RewriteGraph, call: relax.Call, var: relax.Var) -> relax.Expr | None:
    if not isinstance(call, Call) or not isinstance(var.ty, relax.TensorType) or not is_float(var):
        return None
    if ops.is_op(call, *_REDUCTIONS):
        return _behind_reduction(graph, call)
    if ops.is_op(call, "relax.concat"):
        return _behind_concat(graph, call)
    if ops.is_op(call, "relax.nn.pad"):
        return _behind_pad(graph, call)
    return _behind_elementwise(graph, call, var)


def _behind_elementwise(graph: RewriteGraph, call: relax.Call, var: relax.Var) -> relax.Expr | None:
    count = traits_of(call.op.name).elementwise if isinstance(call.op, Op) else 0
    rank = len(shape_of(var))
    sources = _sources(graph, call.args[:count], rank)
    if sources is None or ops.is_op(call, *_WITH_AN_AXIS):
        return None
    return _back(graph, Call(call.op, [*sources, *call.args[count:]], call.attrs, call.ty_args), rank)


def _behind_concat(graph: RewriteGraph, call: relax.Call) -> relax.Expr | None:
    fields = graph.value(call.args[0]).fields
    rank = len(shape_of(fields[0]))
    sources = _sources(graph, fields, rank)
    if sources is None or call.attrs.axis is None:
        return None
    return _back(graph, relax.op.concat(sources, channels_last(rank)[int(call.attrs.axis) % rank]), rank)


def _behind_pad(graph: RewriteGraph, call: relax.Call) -> relax.Expr | None:
    source = _transposed(graph, call.args[0])
    if source is None:
        return None
    rank = len(shape_of(source))
    widths = np.reshape([int(width) for width in call.attrs.pad_width], (rank, 2))[channels_second(rank)]
    pad = relax.op.nn.pad(source, widths.ravel().tolist(), call.attrs.pad_mode, float(call.attrs.pad_value))
    return _back(graph, pad, rank)


def _behind_reduction(graph: RewriteGraph, call: relax.Call) -> relax.Expr | None:
    source = _transposed(graph, call.args[0])
    if source is None or call.attrs.axis is None:
        return None
    rank = len(shape_of(source))
    last = channels_last(rank)
    axes = {int(axis) % rank for axis in call.attrs.axis}
    left = [last[axis] for axis in range(rank) if axis not in axes]
    if not call.attrs.keepdims and left != sorted(left):
        return None
    reduced = getattr(relax.op, call.op.name.removeprefix("relax."))(
        source, sorted(last[axis] for axis in axes), call.attrs.keepdims
    )
    return _back(graph, reduced, rank) if call.attrs.keepdims else reduced


def _sources(graph: RewriteGraph, operands: Iterable[relax.Expr], rank: int) -> list[relax.Expr] | None:
    """What the operands are transposes of; None where none is one, or where one is neither that nor a constant or a
    tensor of one element."""
    if rank not in (3, 4) or all(_transposed(graph, operand) is None for operand in operands):
        return None
    sources = [_before(graph, operand, rank) for operand in operands]
    known = [source for source in sources if source is not None]
    return known if len(known) == len(sources) else None


def _before(graph: RewriteGraph, operand: relax.Expr, rank: int) -> relax.Expr | None:
    source, value = _transposed(graph, operand), constant(operand)
    if source is not None:
        return source if len(shape_of(source)) == rank else None
    if value is None:
        return None
    if value.size == 1 and value.ndim <= rank:
        return operand
    if value.ndim > rank:
        return None
    widened = value.reshape((1,) * (rank - value.ndim) + value.shape).transpose(channels_second(rank))
    return relax.const(np.ascontiguousarray(widened), str(value.dtype))


def _transposed(graph: RewriteGraph, expr: relax.Expr) -> relax.Expr | None:
    """x where expr is x with its channels moved from axis 1 to the end, else None."""
    call = graph.match(expr, "relax.permute_dims")
    rank = len(shape_of(call.args[0])) if call is not None else 0
    return call.args[0] if rank in (3, 4) and permutation(call) == channels_last(rank) else None


def _back(graph: RewriteGraph, expr: relax.Expr, rank: int) -> relax.Expr:
    return relax.op.permute_dims(graph.emit(expr), channels_last(rank))
