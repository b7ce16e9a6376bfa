"""Chains of operators as one launch (passes/lower/fusion.py finds them): around a row reduction (device/rows.cuh
computes them), or a table behind a layer.

quantize(softmax(scores [* scale] [+ mask]), s, z)    ==>    launch softmax_rows(scores, mask, y')
[quantize(]layer_norm([dequantize(]x[)])[)]           ==>    launch norm_rows(x', gamma, beta, y')
        rms_norm likewise
octet.table(octet.dense(x, w, ..), values)            ==>    launch conv_mma(x', packed w, bias and values, .., y')
octet.matmul(quantize(softmax(octet.matmul(q, k) ..), s, z), v)    ==>    launch attention(q', k', v', mask, y')
        heads whose keys fit into shared memory"""

from dataclasses import dataclass
from functools import partial
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from tvm import relax

from ....targets.cuda.kernels.attention import AttentionProblem, Block, attention, block_for
from ....targets.cuda.kernels.conv_schedule import rounded_up
from ....targets.cuda.kernels.functions import codes_by
from ....targets.cuda.kernels.rows import NormProblem, SoftmaxRows, norm_rows, softmax_rows
from ....targets.cuda.layout import CudaLayout, Strided, plain, row_layout
from ... import ops
from ...ops import shape_of
from ...rewriting.dataflow_graph import DataflowGraph
from ..fusion import LayerNorm, TableBehind, find_fusions
from ..softmax_chains import Scores, Softmax, SoftmaxParts
from .context import CudaContext, CudaTensor
from .rules_conv import RULES as LAYERS
from .rules_matmul import epilogue_of, matmul, placed, result_of
from .scalars import Embedding, Scalars, Wrapped, scalars_of

if TYPE_CHECKING:
    from ....targets.spec import TargetSpec

_CHAINS = frozenset({Scores, Softmax, LayerNorm, TableBehind})


@dataclass(frozen=True)
class AttentionHeads:
    """The scores' chain and the product of its probabilities with the values, whose result is root; block: of its
    kernel."""

    scores: Scores
    product: relax.Call
    root: relax.Expr | None
    block: Block


def chains_of(main: relax.Function, spec: "TargetSpec") -> tuple[dict[relax.Expr | None, Any], set[relax.Expr | None]]:
    """({last variable of a chain: what lowers it, given the context}, the variables inside chains). spec: the
    target."""
    chains, inner = find_fusions(main, _CHAINS)
    graph = DataflowGraph(main)
    for root, chain in list(chains.items()):
        whole = _attention_of(graph, chain, spec) if isinstance(chain, Scores) else None
        if whole is not None:
            del chains[root]
            chains[whole.root] = whole
            inner.add(root)
    scalars, members = scalars_of(graph)
    for root, chain in scalars.items():
        if not members[root] & (inner | set(chains)) and root not in inner and root not in chains:
            chains[root] = chain
            inner |= members[root]
    # Unable chains are rare, so the whole function goes operator by operator rather than half a chain.
    if not all(map(_able, chains.values())):
        return {}, set()
    return {root: partial(_lowered, chain) for root, chain in chains.items()}, inner


def _attention_of(graph: DataflowGraph, scores: Scores, spec: "TargetSpec") -> AttentionHeads | None:
    """The Heads that begin with these scores, if there is a kernel for it."""
    users = graph.users(scores.root)
    call = graph.definition(users[0]) if len(users) == 1 and users[0] is not None else None
    if not ops.is_op(call, "octet.matmul") or call.args[0] != scores.root or ops.attrs_of(call)["out_dtype"] != "int8":
        return None
    if (
        any(ops.attrs_of(scores.product).get(name, 0) for name in ("a_zero_point", "b_zero_point"))
        or ops.attrs_of(call).get("b_zero_point", 0)
        or ops.attrs_of(call).get("a_zero_point", 0) != scores.parts.zero_point
    ):
        return None
    queries, keys, values = (shape_of(arg) for arg in (*scores.product.args, call.args[1]))
    alike = (
        len(queries) == len(keys) == len(values) == 4
        and queries[:2] == keys[:2] == values[:2]
        and prod(queries[:2]) <= 65535
    )
    if not alike:
        return None
    block = block_for(keys[-1], queries[-1], values[-1], queries[-2], prod(queries[:2]), spec)
    return AttentionHeads(scores, call, users[0], block) if block is not None else None


def _attention(chain: AttentionHeads, ctx: CudaContext) -> CudaTensor:
    """Keys and values are read where they lie, or moved as for products of their own."""
    parts, (first, second) = chain.scores.parts, (chain.scores.product, chain.product)
    (images, heads, queries, depth), width = shape_of(first.args[0]), shape_of(second)[-1]
    keys, scores = shape_of(first)[-1], row_layout(shape_of(first))
    q, k, v = (ctx.view(arg) for arg in (*first.args, second.args[1]))
    layout = result_of(ctx, shape_of(second))
    q, k, read = placed(ctx, q, k, shape_of(first), depth, scores, first.op.name)
    _, v, written = placed(ctx, CudaTensor(scores, q.storage), v, shape_of(second), keys, layout, second.op.name)
    multipliers = [ops.attrs_of(call)["multiplier"] for call in (first, second)]
    batch = images * heads
    problem = AttentionProblem(
        queries=queries,
        keys=keys,
        depth=depth,
        width=width,
        heads=heads,
        query_pitch=q.layout.steps[-2] if queries > 1 else rounded_up(depth, 16),
        out_pitch=layout.steps[-2],
        multipliers=(multipliers[0], multipliers[1]),
        scale=parts.scale,
        mask_step=None if parts.mask is None else _mask_steps(parts.mask),
        probability=(parts.probability_scale, parts.zero_point),
    )
    kernel = attention(problem, chain.block, read, written, epilogue_of(ops.attrs_of(second), False), batch)
    into = CudaTensor(layout, ctx.storage(prod(shape_of(second)))) if isinstance(layout, Strided) else None
    return ctx.emit(
        kernel,
        [q, k, v, ctx.plain(parts.mask) if parts.mask is not None else q],
        layout,
        "attention",
        batch * queries * keys * (depth + width),
        into=into,
    )


def _mask_steps(mask: "relax.Expr | None") -> Any:
    """Elements from one image, head and query to the next."""
    own = (1,) * 4 if mask is None else shape_of(mask)
    own = (1,) * (4 - len(own)) + own
    return tuple(0 if own[axis] == 1 else prod(own[axis + 1 :]) for axis in range(3))


def _lowered(
    chain: AttentionHeads | Embedding | Scalars | Wrapped | Scores | Softmax | LayerNorm | TableBehind, ctx: CudaContext
) -> CudaTensor | None:
    """The tensor of a chain's last variable."""
    if isinstance(chain, TableBehind):
        ctx.var = chain.var  # The time of all members counts as this layer's.
        return LAYERS[chain.layer.op.name](chain.layer, ctx, chain.values)
    if isinstance(chain, LayerNorm):
        return _norm(chain, ctx)
    if isinstance(chain, (Embedding, Scalars, Wrapped)):
        return chain.lower(ctx)
    if isinstance(chain, AttentionHeads):
        ctx.var = chain.root
        return _attention(chain, ctx)
    if isinstance(chain, Scores):
        parts = chain.parts
        scores = matmul(chain.product, ctx)
        assert scores is not None  # Chains are of products that there is a kernel for.
        return _softmax(scores, parts, chain.root, ctx)
    return _softmax(
        ctx.plain(chain.source), SoftmaxParts(None, None, chain.probability_scale, chain.zero_point), chain.root, ctx
    )


def _able(chain: LayerNorm) -> bool:
    """Whether there are kernels for the chain."""
    if isinstance(chain, TableBehind):
        return str(chain.layer.args[0].ty.dtype) == "int8"
    if not isinstance(chain, Scores):
        return True
    *lead, _, _ = shape_of(chain.product)
    return len(lead) <= 2 and prod(lead) <= 65535


def _softmax(scores: CudaTensor, parts: SoftmaxParts, root: relax.Expr, ctx: CudaContext) -> CudaTensor:
    shape, mask, scale = shape_of(root), parts.mask, parts.scale
    layout = row_layout(shape) if len(shape) > 1 else plain(shape, "int8")
    extents = (1, 1, 1, *shape[:-1])[-3:]
    steps = _mask_steps(mask)
    stride = layout.stride if layout.kind != "plain" else shape[-1]
    problem = SoftmaxRows(
        prod(shape[:-1]),
        shape[-1],
        stride,
        scale is not None,
        mask is not None,
        scale if scale is not None else 0.0,
        codes_by(np.float32(parts.probability_scale), parts.zero_point),
        (extents[1], extents[2]),
        steps,
    )
    return ctx.emit(
        softmax_rows(problem), [scores, ctx.plain(mask) if mask is not None else scores], layout, "relax.nn.softmax"
    )


def _norm(chain: LayerNorm, ctx: CudaContext) -> CudaTensor:
    attrs, shape = ops.attrs_of(chain.call), shape_of(chain.root)
    value, stride = (
        (ctx.plain(chain.operand), shape[-1]) if chain.source is None else _rows(ctx.find(chain.operand), ctx)
    )
    layout = plain(shape, "float32") if chain.target is None else row_layout(shape)
    out_stride = shape[-1] if chain.target is None else layout.stride
    rms = ops.is_op(chain.call, "relax.nn.rms_norm")
    scaled, centred = (True, False) if rms else (bool(attrs["scale"]), bool(attrs["center"]))
    problem = NormProblem(
        prod(shape[:-1]),
        shape[-1],
        stride,
        out_stride,
        chain.source,
        chain.target,
        scaled,
        centred,
        float(attrs["epsilon"]),
        not rms,
    )
    gamma, *beta = (np.asarray(ctx.constant(arg), np.float32) for arg in chain.call.args[1:3])
    return ctx.emit(norm_rows(problem), [value, gamma, *(beta or [gamma])], layout, chain.call.op.name)


def _rows(tensor: CudaTensor, ctx: CudaContext) -> tuple[CudaTensor, int]:
    """(int8 with its rows together, elements from row to row)."""
    layout: CudaLayout = row_layout(tensor.layout.shape)
    return ctx.formed(tensor, layout), layout.stride
