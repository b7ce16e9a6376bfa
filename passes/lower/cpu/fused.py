"""The chains of ../fusion.py as one kernel each, or as none."""

from typing import TYPE_CHECKING

from ....targets.x86.layout import Layout
from ..fusion import LayerNorm, Pixels, QuantizedFunction, TableBehind
from ..peepholes import Peepholes
from ..softmax_chains import CodedScores, PeakScores, PeakSoftmax, Scores, Softmax
from .rules_conv import RULES as LAYERS
from .rules_matmul import product_kernel
from .rules_recurrent import step_with_peepholes
from .rules_rows import layer_norm_rows, softmax_rows
from .rules_unary import quantized_unary
from .value import Value

if TYPE_CHECKING:
    from .context import CpuContext


def _table_behind(chain: TableBehind, ctx: "CpuContext") -> Value:
    ctx.layer = chain.var.name  # The time of all members counts as this layer's.
    return LAYERS[chain.layer.op.name](chain.layer, ctx, chain.values)


def _pixels(chain: Pixels, ctx: "CpuContext") -> Value:
    value = ctx.plain(chain.source)
    return Value(value.var, Layout("plain", value.layout.shape, "int8"))


def _scores(chain: Scores, ctx: "CpuContext") -> Value:
    return product_kernel(chain.product, ctx, chain.parts, chain.root)


# A chain is lowered by the function of its class, given the context.
FUSED = {
    Scores: _scores,
    CodedScores: _scores,
    PeakScores: lambda chain, ctx: product_kernel(chain.product, ctx, chain.parts, chain.root, peak=True),
    Softmax: lambda chain, ctx: softmax_rows(chain.source, chain.root, ctx, chain.probability_scale, chain.zero_point),
    PeakSoftmax: lambda chain, ctx: softmax_rows(
        chain.source, chain.root, ctx, chain.probability_scale, chain.zero_point, peak=True
    ),
    LayerNorm: layer_norm_rows,
    TableBehind: _table_behind,
    QuantizedFunction: lambda chain, ctx: quantized_unary(chain.call, ctx, chain.scale, chain.zero_point),
    Pixels: _pixels,
    Peepholes: step_with_peepholes,
}


def able(byte_permutations: bool) -> frozenset[type]:
    """The chains that have a kernel on a processor with or without byte permutations."""
    return frozenset(FUSED if byte_permutations else FUSED.keys() - {TableBehind})
