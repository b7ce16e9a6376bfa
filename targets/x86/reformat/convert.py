"""The value conversions of a reformat, on vectors."""

from typing import TYPE_CHECKING

from tvm import tirx

from ...cpu.expressions import bind, splat
from ..elementwise.math import function
from ..intrinsics import fence
from ..vector import saturated_quotient, to_float

if TYPE_CHECKING:
    from .choose import ReformatProblem


def quantizes(p: "ReformatProblem") -> bool:
    """Whether float32 becomes int8."""
    return p.source.dtype == "float32" and p.target.dtype == "int8"


def over_scale(p: "ReformatProblem", value: tirx.Expr) -> tirx.Expr:
    """float32x16 -> x / scale, ready to be rounded; of the function of x where there is one."""
    if p.function is not None:
        kind, parameters = p.function
        value = function(kind, bind(value), dict(parameters))
    return saturated_quotient(value, p.scale)


def times_scale(p: "ReformatProblem", words: tirx.Expr) -> tirx.Expr:
    """int32x16 (s8 - zero point) -> float32x16. The fence keeps the product from meeting a sum in another kernel's
    code."""
    return fence(to_float(words) * splat(p.scale, "float32"))


def scalar_quantized(p: "ReformatProblem", value: tirx.Expr) -> tirx.Expr:
    """The stored uint8 of one float32."""
    ratio = tirx.max(
        tirx.min(value / tirx.const(p.scale, "float32"), tirx.const(1024.0, "float32")), tirx.const(-1024.0, "float32")
    )
    rounded = tirx.Cast("int32", tirx.nearbyint(ratio)) + (p.zero_point + 128)
    return tirx.Cast("uint8", tirx.max(tirx.min(rounded, 255), 0))


def scalar_real(p: "ReformatProblem", stored: tirx.Expr) -> tirx.Expr:
    """The float32 value of one stored uint8."""
    return tirx.Cast("float32", tirx.Cast("int32", stored) - (p.zero_point + 128)) * tirx.const(p.scale, "float32")


def converted_element(p: "ReformatProblem", value: tirx.Expr) -> tirx.Expr:
    """One element, converted as the problem says."""
    if p.source.dtype == p.target.dtype:
        return value
    return scalar_quantized(p, value) if quantizes(p) else scalar_real(p, value)
