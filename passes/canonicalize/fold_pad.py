"""conv2d(pad(x, zeros), padding=p) = conv2d(x, padding=p + pad); avg_pool2d the same where it counts its padding.

Only a constant pad by 0 of the two spatial axes.
"""

from dataclasses import dataclass

from tvm import relax
from tvm.ir import IRModule

from .. import ops
from ..rewriting.rule import RewriteGraph, rewrite


@dataclass(frozen=True)
class FoldPad:
    """A separate padding in front of a convolution or average costs a pass over memory; the kernels pad for nothing."""

    def __call__(self, mod: IRModule) -> IRModule:
        """The module with pads of zeros as the padding of the window behind them; any other pad stays."""
        return rewrite(mod, _fold)


def _fold(graph: RewriteGraph, call: relax.Call, var: relax.Var) -> relax.Expr | None:
    if not ops.is_op(call, "relax.nn.conv2d", "relax.nn.avg_pool2d"):
        return None
    pad = graph.match(call.args[0], "relax.nn.pad")
    if pad is None or pad.attrs.pad_mode != "constant" or float(pad.attrs.pad_value) != 0.0:
        return None
    width = [int(w) for w in pad.attrs.pad_width]
    if any(width[:4]):
        return None
    attrs, (top, bottom, left, right) = call.attrs, width[4:]
    padding = [int(p) + more for p, more in zip(attrs.padding, (top, left, bottom, right))]
    if ops.is_op(call, "relax.nn.conv2d"):
        options = {"strides": attrs.strides, "padding": padding, "dilation": attrs.dilation, "groups": attrs.groups}
        return relax.op.nn.conv2d(pad.args[0], call.args[1], **options)
    if any(int(p) for p in attrs.padding) and not attrs.count_include_pad:
        return None
    return relax.op.nn.avg_pool2d(pad.args[0], attrs.pool_size, attrs.strides, padding, attrs.dilation, False, True)
