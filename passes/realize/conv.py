"""Convolutions (dense, grouped, depthwise):

R.quantize(clip(R.nn.conv2d(dq(x), dq(w)) + bias [+ dq(r)]), s, z) -> octet.conv2d(x, w, bias s32, multiplier[, r]) int8
clip(R.nn.conv2d(dq(x), dq(w)) + bias)                             -> octet.conv2d(...) with out_dtype "float32"
"""

from typing import TYPE_CHECKING

from tvm import relax

from .. import ops
from .linear import realize_linear, weight_of

if TYPE_CHECKING:
    from .chain import Chain
    from .linear import Refused
    from .realize import Realizer
    from .requantize import TensorQParams


def geometry_of(call: relax.Call) -> dict[str, int | list[int]]:
    """The attributes that octet.conv2d takes over from R.nn.conv2d."""
    attrs = ops.attrs_of(call)
    return {key: attrs[key] for key in ("strides", "padding", "dilation", "groups")}


def realize_conv(context: "Realizer", chain: "Chain", out: "TensorQParams | None") -> "Refused | relax.Var | None":
    """The new variable or Refused; None if the chain is not a convolution."""
    if not ops.is_op(chain.call, "relax.nn.conv2d"):
        return None
    weight = weight_of(context.graph, chain.call.args[1], 0)
    return realize_linear(context, chain, "octet.conv2d", weight, geometry_of(chain.call), out)
