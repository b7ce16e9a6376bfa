"""A 1-D operator on [N, C, W] is the 2-D one on [N, C, 1, W], between two reshapes: conv1d, conv1d_transpose,
max_pool1d, avg_pool1d.

LiftRank3 then removes the reshapes between two of them.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from tvm import relax
from tvm.ir import Call, IRModule

from .. import ops
from ..ops import shape_of
from ..rewriting.rule import RewriteGraph, rewrite
from .questions import constant


@dataclass(frozen=True)
class ConvertConv1d:
    """Replaces the four operators in layout NCW."""

    def __call__(self, mod: IRModule) -> IRModule:
        """The module whose 1-D windows in layout NCW are 2-D ones of height 1."""
        return rewrite(mod, _convert)


def _convert(graph: RewriteGraph, call: relax.Expr, var: relax.Var) -> relax.Expr | None:
    if not isinstance(call, Call):
        return None
    if ops.is_op(call, "relax.nn.conv1d", "relax.nn.conv1d_transpose"):
        out = _conv(graph, call)
    elif ops.is_op(call, "relax.nn.max_pool1d", "relax.nn.avg_pool1d"):
        out = _pool(graph, call)
    else:
        return None
    return relax.op.reshape(graph.emit(out, like=var), shape_of(var))


def _conv(graph: RewriteGraph, call: relax.Call) -> relax.Expr:
    attrs = call.attrs
    data, weight = call.args
    (stride,), (dilation,), (before, after) = map(_ints, (attrs.strides, attrs.dilation, attrs.padding))
    options = {
        "strides": [1, stride],
        "padding": [0, before, 0, after],
        "dilation": [1, dilation],
        "groups": int(attrs.groups),
    }
    value = constant(weight)
    o, i, k = shape_of(weight)
    weight = (
        relax.const(value.reshape(o, i, 1, k))
        if value is not None
        else graph.emit(relax.op.reshape(weight, [o, i, 1, k]))
    )
    if ops.is_op(call, "relax.nn.conv1d"):
        return relax.op.nn.conv2d(_up(graph, data), weight, **options)
    return relax.op.nn.conv2d_transpose(
        _up(graph, data), weight, output_padding=[0, *_ints(attrs.output_padding)], **options
    )


def _pool(graph: RewriteGraph, call: relax.Call) -> relax.Expr:
    attrs = call.attrs
    op = relax.op.nn.max_pool2d if ops.is_op(call, "relax.nn.max_pool1d") else relax.op.nn.avg_pool2d
    before, after = _ints(attrs.padding)
    window, stride, dilation = ([1, *_ints(v)] for v in (attrs.pool_size, attrs.strides, attrs.dilation))
    return op(
        _up(graph, call.args[0]),
        window,
        stride,
        [0, before, 0, after],
        dilation,
        bool(attrs.ceil_mode),
        bool(attrs.count_include_pad),
    )


def _up(graph: RewriteGraph, x: relax.Expr) -> relax.Expr:
    n, c, w = shape_of(x)
    return graph.emit(relax.op.reshape(x, [n, c, 1, w]))


def _ints(values: Iterable[int]) -> list[int]:
    return [int(v) for v in values]
