"""batch_norm(x; gamma, beta, mean, var)[0] = multiply(x, s) + (beta - mean * s), s = gamma / sqrt(var + epsilon), as
constants shaped [1, C, 1, 1].

FoldAffine and FoldAffineForward then move both into a neighbouring convolution or linear layer where they can.
"""

from dataclasses import dataclass

import numpy as np
from tvm import relax
from tvm.ir import IRModule

from ..ops import shape_of
from ..rewriting.rule import RewriteGraph, rewrite
from .questions import constant


@dataclass(frozen=True)
class ConvertBatchNorm:
    """BatchNormalization with constant statistics becomes two elementwise operators; computed statistics are left and
    noted."""

    def __call__(self, mod: IRModule) -> IRModule:
        """The module in which only computed statistics have a batch_norm left."""
        return rewrite(mod, _convert)


def _convert(graph: RewriteGraph, value: relax.Expr, var: relax.Var) -> relax.Expr | None:
    if not isinstance(value, relax.TupleGetItem) or value.index != 0:
        return None
    norm = graph.match(value.tuple_value, "relax.nn.batch_norm")
    if norm is None:
        return None
    x, *statistics = norm.args
    statistics = [constant(arg) for arg in statistics]
    if any(s is None for s in statistics):
        graph.note(f"{var.name}: BatchNormalization was not folded: its statistics are computed at run time")
        return None
    gamma, beta, mean, variance = (s.astype("float64") for s in statistics)
    scale = gamma / np.sqrt(variance + float(norm.attrs.epsilon))
    shape = [1] * len(shape_of(var))
    shape[int(norm.attrs.axis)] = -1
    scaled = graph.emit(relax.op.multiply(x, relax.const(scale.astype("float32").reshape(shape))))
    return relax.op.add(scaled, relax.const((beta - mean * scale).astype("float32").reshape(shape)))
