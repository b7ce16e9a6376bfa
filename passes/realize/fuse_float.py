"""FuseFloat: float layers and their epilogues become one operator each.

    clip(R.nn.conv2d(x, w) + bias [+ r])         ->  octet.conv2d(x, w, bias[, r]) float32
    clip(R.matmul(x, w[K, N]) + bias [+ r])      ->  octet.dense(x, w[K, N], bias[, r]) float32

Runs on the canonical fp32 module and, after Realize, on the layers that stayed in float. Weights and bias are
constants; the weights are those of the module, not a copy.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import tvm
from tvm import relax

from .. import ops
from ..constants import as_constant
from ..ops import shape_of
from ..rewriting.forward import Forward
from ..rewriting.function import replace_main
from .chain import match_chain
from .conv import geometry_of

if TYPE_CHECKING:
    from .chain import Chain


@dataclass(frozen=True)
class FuseFloat:
    """The pass that makes one operator of a float layer and the bias, sum and clip behind it."""

    def __call__(self, mod: tvm.IRModule) -> tvm.IRModule:
        """The module with the float operators that one kernel does as one call each."""
        return replace_main(mod, _Fuser(mod["main"]).run())


class _Fuser(Forward):
    def visit(self, var: relax.Var, value: relax.Expr) -> relax.Expr | None:
        chain = match_chain(self.graph, var) if isinstance(value, relax.Call) else None
        return self._fused(chain) if chain is not None and str(var.ty.dtype) == "float32" else None

    def _fused(self, chain: "Chain") -> relax.Expr:
        data, weight = chain.call.args[:2]
        is_conv = ops.is_op(chain.call, "relax.nn.conv2d")
        channels = shape_of(weight)[0 if is_conv else 1]
        bias = np.zeros(channels, np.float32) if chain.bias is None else chain.bias
        if not isinstance(weight, tvm.ir.GenericConst):
            weight = as_constant(self.graph.constant(weight))
        operands = [self.new(data), weight, relax.const(bias, "float32")]
        if chain.residual is not None:
            residual = self.graph.constant(chain.residual)
            operands.append(self.new(chain.residual) if residual is None else relax.const(residual, "float32"))
            assert shape_of(operands[-1]) == shape_of(chain.call)
        geometry = geometry_of(chain.call) if is_conv else {}
        name = "octet.conv2d" if is_conv else "octet.dense"
        call = ops.call(
            name, operands, **geometry, clip_min=float(chain.low), clip_max=float(chain.high), out_dtype="float32"
        )
        return self.emit(call, chain.root.name)
