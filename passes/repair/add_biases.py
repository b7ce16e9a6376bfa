"""layer(x) -> layer(x) + 0 where a convolution or linear layer has no bias: a place for corrections, free once it is
fused.

Runs on the canonical fp32 graph."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from tvm import IRModule, relax

from ..ops import shape_of
from ..rewriting.rule import rewrite
from .weights import layers_of

if TYPE_CHECKING:
    from ..rewriting.rule import RewriteGraph


@dataclass(frozen=True)
class AddBiases:
    """The pass that gives every layer a bias: of zeros where it had none."""

    def __call__(self, mod: IRModule) -> IRModule:
        """Computes what `mod` computes: the new biases are float32 zeros of the layer's channels."""
        bare = {layer.name for layer in layers_of(mod).values() if layer.bias is None}

        def add_bias(graph: "RewriteGraph", value: relax.Expr, var: relax.Var) -> relax.Call | None:
            if var.name not in bare:
                return None
            out = shape_of(var)
            shape = (1, out[1], 1, 1) if len(out) == 4 and value.op.name == "relax.nn.conv2d" else (out[-1],)
            return relax.op.add(graph.emit(value, like=var), relax.const(np.zeros(shape, np.float32)))

        return rewrite(mod, add_bias) if bare else mod
