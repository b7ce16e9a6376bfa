"""conv2d_transpose(x, w) = conv2d(interleave(x; strides), flip(transpose(w))) with padding dilation*(k-1) - pad.

interleave puts stride-1 zeros between neighbours; output_padding is added to the end padding; where the result would be
a negative padding (pad > dilation*(k-1)) the convolution runs without and the output is sliced. Groups are kept.
"""

from dataclasses import dataclass

import numpy as np
from tvm import relax
from tvm.ir import IRModule

from .. import ops
from ..ops import shape_of
from ..rewriting.rule import RewriteGraph, rewrite
from .graph import constant


@dataclass(frozen=True)
class ConvertTransposedConv:
    """Transposed convolutions with constant weights become convolutions; computed weights are left and noted."""

    def __call__(self, mod: IRModule) -> IRModule:
        """The module in which only computed weights have a conv2d_transpose left."""
        return rewrite(mod, _convert)


def _convert(graph: RewriteGraph, call: relax.Expr, var: relax.Var) -> relax.Expr | None:
    if not ops.is_op(call, "relax.nn.conv2d_transpose"):
        return None
    data, weight = call.args[0], constant(call.args[1])
    if weight is None:
        graph.note(f"{var.name}: transposed convolution was not converted: its weights are computed at run time")
        return None
    attrs = call.attrs
    strides, dilation, groups = [int(s) for s in attrs.strides], [int(d) for d in attrs.dilation], int(attrs.groups)
    pads, extra = [int(p) for p in attrs.padding], [int(p) for p in attrs.output_padding]
    kernel = weight.shape[2:]
    reach = [d * (k - 1) for d, k in zip(dilation, kernel)]
    wanted = [reach[0] - pads[0], reach[1] - pads[1], reach[0] - pads[2] + extra[0], reach[1] - pads[3] + extra[1]]
    if strides != [1, 1]:
        data = graph.emit(ops.call("octet.interleave", [data], strides=strides, fill=0))
    out = relax.op.nn.conv2d(
        data, relax.const(_flip(weight, groups)), padding=[max(p, 0) for p in wanted], dilation=dilation, groups=groups
    )
    if min(wanted) >= 0:
        return out
    top, left = (max(-p, 0) for p in wanted[:2])
    height, width = shape_of(var)[2:]
    return relax.op.strided_slice(graph.emit(out, like=var), [2, 3], [top, left], [top + height, left + width])


def _flip(weight: np.ndarray, groups: int) -> np.ndarray:
    """[I, O/groups, kh, kw] -> [O, I/groups, kh, kw], mirrored in both directions."""
    i, o, kh, kw = weight.shape
    split = weight.reshape(groups, i // groups, o, kh, kw).transpose(0, 2, 1, 3, 4)
    return np.ascontiguousarray(split.reshape(groups * o, i // groups, kh, kw)[:, :, ::-1, ::-1])
