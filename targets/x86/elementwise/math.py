"""Scalar float functions on vectors: the sequences of targets/float_math.py in TIR, and the rare kinds that have no
fixed sequence."""

import builtins
from collections.abc import Callable

from tvm import tirx

from ... import float_math
from ...cpu.expressions import pure, splat
from ...seams import Attrs
from ..intrinsics import fence
from ..vector_loops import reuse


class VectorOps:
    """The operations that float_math asks for, on 16 lanes. Every product is fenced: LLVM may not contract it with a
    following sum."""

    @staticmethod
    def const(value: float) -> tirx.Expr:
        return splat(float(value), "float32")

    @staticmethod
    def add(a: tirx.Expr, b: tirx.Expr) -> tirx.Expr:
        return reuse(a + b)

    @staticmethod
    def sub(a: tirx.Expr, b: tirx.Expr) -> tirx.Expr:
        return reuse(a - b)

    @staticmethod
    def mul(a: tirx.Expr, b: tirx.Expr) -> tirx.Expr:
        return reuse(fence(a * b))

    @staticmethod
    def div(a: tirx.Expr, b: tirx.Expr) -> tirx.Expr:
        return reuse(tirx.Div(a, b))

    @staticmethod
    def min(a: tirx.Expr, b: tirx.Expr) -> tirx.Expr:
        return reuse(tirx.min(a, b))

    @staticmethod
    def max(a: tirx.Expr, b: tirx.Expr) -> tirx.Expr:
        return reuse(tirx.max(a, b))

    @staticmethod
    def sqrt(x: tirx.Expr) -> tirx.Expr:
        return reuse(pure("float32x16", "llvm.sqrt", x))

    @staticmethod
    def rint(x: tirx.Expr) -> tirx.Expr:
        return reuse(pure("float32x16", "llvm.rint", x))

    @staticmethod
    def abs(x: tirx.Expr) -> tirx.Expr:
        return reuse(pure("float32x16", "llvm.fabs", x))

    @staticmethod
    def select(condition: tirx.Expr, a: tirx.Expr, b: tirx.Expr) -> tirx.Expr:
        return reuse(tirx.Select(condition, a, b))

    @staticmethod
    def less(a: tirx.Expr, b: tirx.Expr) -> tirx.Expr:
        return tirx.LT(a, b)

    @staticmethod
    def int(x: tirx.Expr) -> tirx.Expr:
        return reuse(tirx.Cast("int32x16", x), "int32")

    @staticmethod
    def shift_right(i: tirx.Expr, n: builtins.int) -> tirx.Expr:
        return reuse(i >> splat(n, "int32"), "int32")

    @staticmethod
    def isub(i: tirx.Expr, j: tirx.Expr) -> tirx.Expr:
        return reuse(i - j, "int32")

    @staticmethod
    def power_of_two(i: tirx.Expr) -> tirx.Expr:
        return reuse(tirx.reinterpret("float32x16", (i + splat(127, "int32")) << splat(23, "int32")))

    @staticmethod
    def split(x: tirx.Expr) -> tuple[tirx.Expr, tirx.Expr]:
        bits = reuse(tirx.reinterpret("int32x16", x), "int32")
        fraction = (bits & splat(0x007FFFFF, "int32")) | splat(0x3F000000, "int32")
        return reuse(tirx.reinterpret("float32x16", fraction)), reuse(
            tirx.Cast("float32x16", (bits >> splat(23, "int32")) - splat(126, "int32"))
        )


def _named(name: str) -> Callable[[type["VectorOps"], tirx.Expr, Attrs], tirx.Expr]:
    return lambda m, x, attrs: reuse(pure("float32x16", f"llvm.{name}", x))


def _celu(m: type[VectorOps], x: tirx.Expr, attrs: dict[str, float]) -> tirx.Expr:
    alpha = m.const(attrs["alpha"])
    return m.add(
        m.max(x, m.const(0.0)),
        m.min(m.mul(alpha, m.sub(float_math.exp(m, m.div(x, alpha)), m.const(1.0))), m.const(0.0)),
    )


def _power(m: type[VectorOps], x: tirx.Expr, attrs: dict[str, float]) -> tirx.Expr:
    return reuse(pure("float32x16", "llvm.pow", x, m.const(attrs["exponent"])))


_OTHERS: dict[str, Callable[..., tirx.Expr]] = {
    "sin": _named("sin"),
    "cos": _named("cos"),
    "floor": _named("floor"),
    "ceil": _named("ceil"),
    "sign": lambda m, x, attrs: m.select(
        m.less(x, m.const(0.0)), m.const(-1.0), m.select(m.less(m.const(0.0), x), m.const(1.0), x)
    ),
    "celu": _celu,
    "thresholded_relu": lambda m, x, attrs: m.select(m.less(m.const(attrs["alpha"]), x), x, m.const(0.0)),
    "power": _power,
    "clip": lambda m, x, attrs: m.min(m.max(x, m.const(attrs["low"])), m.const(attrs["high"])),
    "relu": lambda m, x, attrs: m.max(x, m.const(0.0)),
    "negative": lambda m, x, attrs: m.sub(m.const(-0.0), x),
    "square": lambda m, x, attrs: m.mul(x, x),
}
KINDS = frozenset(float_math.FUNCTIONS) | frozenset(_OTHERS)


def function(kind: str, x: tirx.Expr, attrs: Attrs) -> tirx.Expr:
    """float32x16 -> float32x16. attrs: the kind's parameters (passes/unary.py); "clip" takes low and high."""
    if kind in float_math.FUNCTIONS:
        return float_math.unary(VectorOps, kind, x, attrs)
    return _OTHERS[kind](VectorOps, x, attrs)


_BINARY: dict[str, Callable[[tirx.Expr, tirx.Expr], tirx.Expr]] = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "divide": tirx.Div,
    "maximum": tirx.max,
    "minimum": tirx.min,
    "prelu": lambda a, b: tirx.Select(tirx.LT(a, splat(0.0, "float32")), a * b, a),
}
BINARY_KINDS = frozenset(_BINARY)


def combined(kind: str, a: tirx.Expr, b: tirx.Expr) -> tirx.Expr:
    """Two float32x16 -> float32x16. "prelu": a where it is not negative, else a * b."""
    return _BINARY[kind](a, b)
