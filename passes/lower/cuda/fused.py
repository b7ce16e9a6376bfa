"""Chains of operators as one launch (passes/lower/fusion.py finds them): around a row reduction (device/rows.cuh computes them), or a table behind a layer.

    quantize(softmax(scores [* scale] [+ mask]), s, 0)    ==>    launch softmax_rows(scores, mask, y')
    [quantize(]layer_norm([dequantize(]x[)])[)]           ==>    launch norm_rows(x', gamma, beta, y')
    octet.table(octet.dense(x, w, ..), values)            ==>    launch conv_mma(x', packed w, bias and values, .., y')"""

from functools import partial
from math import prod

import numpy as np

from ....targets.cuda.kernels.rows import NormRows, SoftmaxRows, norm_rows, softmax_rows
from ....targets.cuda.layout import Layout, plain, rows
from ... import ops
from ..fusion import LayerNorm, Scores, Softmax, TableBehind, find_fusions
from .context import Context, Tensor
from .rules_conv import RULES as LAYERS
from .rules_matmul import matmul


def chains_of(main) -> tuple[dict, set]:
    """({last variable of a chain: what lowers it, given the context}, the variables inside chains)."""
    found, inner = find_fusions(main, True)
    if not all(map(_able, found.values())):  # rare: the whole function goes operator by operator rather than half a chain
        return {}, set()
    return {root: partial(_lowered, chain) for root, chain in found.items()}, inner


def _lowered(chain: Scores | Softmax | LayerNorm | TableBehind, ctx: Context) -> Tensor:
    """The tensor of a chain's last variable."""
    if isinstance(chain, TableBehind):
        ctx.var = chain.var  # what takes the time
        return LAYERS[chain.layer.op.name](chain.layer, ctx, chain.values)
    if isinstance(chain, LayerNorm):
        return _norm(chain, ctx)
    if isinstance(chain, Scores):
        parts = chain.parts
        return _softmax(matmul(chain.product, ctx), parts.mask, parts.scale, parts.probability_scale, chain.root, ctx)
    return _softmax(ctx.plain(chain.source), None, None, chain.probability_scale, chain.root, ctx)


def _able(chain) -> bool:
    """Whether there are kernels for the chain."""
    if isinstance(chain, TableBehind):
        return str(chain.layer.args[0].ty.dtype) == "int8"
    if not isinstance(chain, Scores):
        return True
    *lead, _, _ = _shape(chain.product)
    return len(lead) <= 2 and prod(lead) <= 65535


def _softmax(scores, mask, scale, probability, root, ctx):
    shape = _shape(root)
    layout = rows(shape) if len(shape) > 1 else plain(shape, "int8")
    extents = (1, 1, 1, *shape[:-1])[-3:]
    steps = (0, 0, 0)
    if mask is not None:
        own = _shape(mask)
        own = (1,) * (4 - len(own)) + own
        steps = tuple(0 if own[axis] == 1 else prod(own[axis + 1 :]) for axis in range(3))
    stride = layout.stride if layout.kind != "plain" else shape[-1]
    problem = SoftmaxRows(prod(shape[:-1]), shape[-1], stride, scale is not None, mask is not None, scale if scale is not None else 0.0, probability, extents[1:], steps)
    return ctx.emit(softmax_rows(problem), [scores, ctx.plain(mask) if mask is not None else scores], layout, "relax.nn.softmax")


def _norm(chain, ctx):
    attrs, shape = ops.attrs_of(chain.call), _shape(chain.root)
    value, stride = (ctx.plain(chain.operand), shape[-1]) if chain.source is None else _rows(ctx.find(chain.operand), ctx)
    layout = plain(shape, "float32") if chain.target is None else rows(shape)
    out_stride = shape[-1] if chain.target is None else layout.stride
    (scale, zero_point), (out_scale, out_zero_point) = chain.source or (0.0, 0), chain.target or (0.0, 0)
    problem = NormRows(prod(shape[:-1]), shape[-1], stride, out_stride, chain.source is not None, chain.target is not None, bool(attrs["scale"]), bool(attrs["center"]),
                       zero_point, out_zero_point, scale, out_scale, float(attrs["epsilon"]))  # fmt: skip
    affine = [np.asarray(ctx.constant(arg), np.float32) for arg in chain.call.args[1:3]]
    return ctx.emit(norm_rows(problem), [value, *affine], layout, "relax.nn.layer_norm")


def _rows(tensor, ctx) -> tuple[Tensor, int]:
    """(int8 with its rows together, elements from row to row)."""
    layout: Layout = rows(tensor.layout.shape)
    return ctx.formed(tensor, layout), layout.stride


def _shape(expr):
    return tuple(int(extent) for extent in expr.ty.shape.values)
