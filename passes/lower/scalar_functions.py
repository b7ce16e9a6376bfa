"""Operators that are a function of one float32 element, as the kind and the parameters that every backend's kernels are
named by."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .. import ops
from ..operators.relax_operators import KINDS
from ..unary import PARAMETERS

if TYPE_CHECKING:
    from tvm import relax

    from .cpu.context import CpuContext
    from .cpu.value import Value
    from .cuda.context import CudaContext, CudaTensor

_FIXED = {
    **{name: (kind, {}) for name, kind in KINDS.items()},
    "relax.negative": ("negative", {}),
    "relax.square": ("square", {}),
    "relax.nn.relu": ("relu", {}),
    "relax.nn.relu6": ("clip", {"low": 0.0, "high": 6.0}),
    "relax.nn.selu": ("selu", {"alpha": 1.6732632423543772, "gamma": 1.0507009873554805}),
}


def scalar_function_of(call: "relax.Call") -> tuple[str, dict[str, float]]:
    """(kind, {parameter: value}) of an octet.unary."""
    attrs = ops.attrs_of(call)
    return attrs["kind"], {name: float(attrs[name]) for name in PARAMETERS.get(attrs["kind"], ())}


def rules_of(lowered: Callable[..., Any]) -> dict[str, Callable[..., Any]]:
    """Rules of a backend. lowered(call, ctx, kind, parameters): the value of the function, or None where the backend
    has no kernel for it."""

    def octet_unary(call: "relax.Call", ctx: "CpuContext | CudaContext") -> "CudaTensor | Value":
        return lowered(call, ctx, *scalar_function_of(call))

    def leaky_relu(call: "relax.Call", ctx: "CpuContext") -> "Value":
        return lowered(call, ctx, "leaky_relu", {"alpha": float(ops.attrs_of(call)["alpha"])})

    def clip(call: "relax.Call", ctx: "CudaContext") -> "CudaTensor":
        low, high = (float(getattr(arg.value, "value", arg.value)) for arg in call.args[1:3])
        return lowered(call, ctx, "clip", {"low": low, "high": high})

    def fixed(kind: str, parameters: dict[str, float]) -> Callable[..., Any]:
        return lambda call, ctx: lowered(call, ctx, kind, parameters)

    return {
        "octet.unary": octet_unary,
        "relax.nn.leakyrelu": leaky_relu,
        "relax.clip": clip,
        **{name: fixed(*function) for name, function in _FIXED.items()},
    }
