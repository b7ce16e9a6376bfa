"""Channels that become pixels between the others, as exporters write them, are octet.depth_to_space:

reshape(transpose(reshape(x, [n, sh, sw, c, h, w]), [0, 3, 4, 1, 5, 2]), [n, c, h * sh, w * sw])
    = depth_to_space(x; sh, sw)                         (DCR: the phases of the pixels outermost among the channels)

reshape(transpose(reshape(x, [n, c, sh, sw, h, w]), [0, 1, 4, 2, 5, 3]), [n, c, h * sh, w * sw])
    = depth_to_space(x's channels in the other order; sh, sw)                    (CRD: the phases innermost)

The other order is that of the weights of the convolution that makes x, so nothing is moved for it. Needs
NormalizeArithmetic and ConvertBatchNorm.
"""

from dataclasses import dataclass

import numpy as np
from tvm import relax
from tvm.ir import Call, IRModule, Op

from ... import ops
from ...operators.registry import traits_of
from ...ops import is_tensor, permutation, shape_of
from ...rewriting.rule import RewriteGraph, rewrite
from ..questions import constant

_PHASES_OUTSIDE, _PHASES_INSIDE = [0, 3, 4, 1, 5, 2], [0, 1, 4, 2, 5, 3]


@dataclass(frozen=True)
class RecognizeDepthToSpace:
    """With the phases innermost it applies only where x is what one convolution without groups makes, through functions
    of single elements that nothing else reads."""

    def __call__(self, mod: IRModule) -> IRModule:
        """The module with the operator in place of reshapes and transposes of rank 6."""
        return rewrite(mod, _recognize)


def _recognize(graph: RewriteGraph, call: relax.Expr, var: relax.Var) -> relax.Expr | None:
    turned = graph.match(call.args[0], "relax.permute_dims") if ops.is_op(call, "relax.reshape") else None
    apart = graph.match(turned.args[0], "relax.reshape") if turned is not None else None
    if turned is None or apart is None or not (graph.used_once(call.args[0]) and graph.used_once(turned.args[0])):
        return None
    blocks, source, result = shape_of(turned.args[0]), apart.args[0], shape_of(var)
    if (len(blocks), len(shape_of(source)), len(result)) != (6, 4, 4):
        return None
    axes = permutation(turned)
    inside = axes == _PHASES_INSIDE
    n, channels, sh, sw, h, w = blocks if inside else (blocks[0], blocks[3], *blocks[1:3], *blocks[4:])
    if axes not in (_PHASES_OUTSIDE, _PHASES_INSIDE) or shape_of(source) != (n, channels * sh * sw, h, w):
        return None
    if result != (n, channels, h * sh, w * sw):
        return None
    if inside:
        order = np.arange(channels * sh * sw).reshape(channels, sh * sw).T.reshape(-1)
        source = _reordered(graph, source, order)
    return None if source is None else ops.call("octet.depth_to_space", [source], strides=[sh, sw])


def _reordered(graph: RewriteGraph, x: relax.Expr, order: np.ndarray) -> relax.Expr | None:
    """x [n, c, h, w] with its channels in another order, for which nothing moves; None where there is none."""
    value = constant(x)
    if value is not None:
        return x if value.size == 1 else _chosen(value, order)
    call = graph.value(x)
    if not isinstance(call, Call) or not isinstance(call.op, Op) or not graph.used_once(x):
        return None
    if ops.is_op(call, "relax.nn.conv2d"):
        weight = constant(call.args[1])
        if weight is None or int(call.attrs.groups) != 1:
            return None
        operands_in_order = [call.args[0], relax.const(np.ascontiguousarray(weight[order]))]
    else:
        count = traits_of(call.op.name).elementwise
        operands = [_reordered(graph, operand, order) for operand in call.args[:count]]
        if not count or any(is_tensor(parameter) for parameter in call.args[count:]):
            return None
        operands_in_order = [operand for operand in operands if operand is not None]
        if len(operands_in_order) < count:
            return None
        operands_in_order += call.args[count:]
    return graph.emit(Call(call.op, operands_in_order, call.attrs, call.ty_args), like=x)


def _chosen(value: np.ndarray, order: np.ndarray) -> relax.Expr | None:
    """A constant per channel in that order."""
    per_channel = value.size == len(order) and value.ndim >= 3 and value.shape[-3] == len(order)
    return relax.const(np.take(value, order, value.ndim - 3)) if per_channel else None
