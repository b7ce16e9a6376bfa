"""Scalar float32 functions as CUDA C++: the sequences of `targets/float_math.py`, written out operation by
operation."""

import builtins
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ... import float_math, recurrent_math
from ...byte_quotient import two_parts, two_parts_suffice
from ..kernel import bits

_ROUNDER = 12582912.0  # 1.5 * 2 ** 23: a sum with it has no place for a fraction.


def _two(name: str) -> Callable[["Writer", str, str], str]:
    """A method that calls the device function `name` of two operands."""
    return lambda self, a, b: self._let("float", f"{name}({a}, {b})")


class Writer:
    """The operations of float_math's `m`; every one becomes a line that names its result."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def _let(self, kind: str, text: str) -> str:
        name = f"t{len(self.lines)}"
        self.lines.append(f"  {kind} {name} = {text};")
        return name

    def const(self, value: float) -> str:
        return f"float_of_bits({bits(value)})"

    add, sub, mul, div, min, max = map(_two, ("add", "sub", "mul", "quotient", "lesser", "greater"))

    def sqrt(self, x: str) -> str:
        return self._let("float", f"root({x})")

    def rint(self, x: str) -> str:
        return self._let("float", f"nearest({x})")

    def abs(self, x: str) -> str:
        return self._let("float", f"float_of_bits(bits_of({x}) & 0x7fffffffu)")

    def select(self, condition: str, a: str, b: str) -> str:
        return self._let("float", f"{condition} ? {a} : {b}")

    def less(self, a: str, b: str) -> str:
        return self._let("bool", f"{a} < {b}")

    def int(self, x: str) -> str:
        return self._let("int", f"to_int({x})")

    def shift_right(self, i: str, n: builtins.int) -> str:
        return self._let("int", f"{i} >> {n}")

    def isub(self, i: str, j: str) -> str:
        return self._let("int", f"{i} - {j}")

    def power_of_two(self, i: str) -> str:
        return self._let("float", f"float_of_bits(static_cast<unsigned>({i} + 127) << 23)")

    def split(self, x: str) -> tuple[str, str]:
        raw = self._let("unsigned", f"bits_of({x})")
        exponent = f"to_float(static_cast<int>({raw}) / 8388608 - 126)"
        return self._let("float", f"float_of_bits(({raw} & 0x007fffffu) | 0x3f000000u)"), self._let("float", exponent)


def _wide(name: str, *more: float) -> Callable[[Writer, str], str]:
    """The C library's float64 function, rounded once, as passes/unary.py has it."""
    arguments = "".join(f", {value}" for value in more)
    return lambda m, x: m._let("float", f"static_cast<float>(::{name}(static_cast<double>({x}){arguments}))")


def _celu(m: Writer, x: str, alpha: float) -> str:
    grown = m._let("double", f"fmin({alpha} * ::expm1(fmin(static_cast<double>({x}) / {alpha}, 0.0)), 0.0)")
    return m._let("float", f"static_cast<float>(fmax(static_cast<double>({x}), 0.0) + {grown})")


def _thresholded_relu(m: Writer, x: str, alpha: float) -> str:
    return m._let("float", f"static_cast<double>({x}) > {alpha} ? {x} : 0.0f")


def _power(m: Writer, x: str, exponent: float) -> str:
    return _wide("pow", exponent)(m, x)


_ONE_WIDE = (
    "sin",
    "cos",
    "tan",
    "asin",
    "acos",
    "atan",
    "sinh",
    "cosh",
    "asinh",
    "acosh",
    "atanh",
    "exp2",
    "exp10",
    "log2",
    "log10",
    "log1p",
)
# For these kinds a function of <cmath> is called in float64.
WIDE = frozenset((*_ONE_WIDE, "pow", "atan2", "hypot", "fmod", "copysign"))
_MORE: dict[str, tuple[Callable[..., str], tuple[str, ...]]] = {
    "clip": (lambda m, x, low, high: m.min(m.max(x, m.const(low)), m.const(high)), ("low", "high")),
    "relu": (lambda m, x: m.max(x, m.const(0.0)), ()),
    "negative": (lambda m, x: m._let("float", f"-{x}"), ()),
    "square": (lambda m, x: m.mul(x, x), ()),
    "floor": (lambda m, x: m._let("float", f"floorf({x})"), ()),
    "ceil": (lambda m, x: m._let("float", f"ceilf({x})"), ()),
    "trunc": (lambda m, x: m._let("float", f"truncf({x})"), ()),
    "sign": (lambda m, x: m._let("float", f"{x} > 0.0f ? 1.0f : {x} < 0.0f ? -1.0f : {x} == 0.0f ? 0.0f : {x}"), ()),
    "celu": (_celu, ("alpha",)),
    "thresholded_relu": (_thresholded_relu, ("alpha",)),
    "power": (_power, ("exponent",)),
    **{kind: (_wide(kind), ()) for kind in _ONE_WIDE},
}
# Each kind has a sequence of operations and the names of its parameters.
_ALL: dict[str, tuple[Callable[..., str], tuple[str, ...]]] = {
    **float_math.FUNCTIONS,
    **_MORE,
}


def has_device_code(kind: str) -> bool:
    """Whether there is device code for a kind of function."""
    return kind in _ALL


def parameters(kind: str) -> tuple[str, ...]:
    """The names of what `attrs` must hold."""
    return _ALL[kind][1]


def function(kind: str, attrs: Mapping[str, float]) -> tuple[str, str]:
    """(name, definition) of float name(float x)."""
    m = Writer()
    sequence, names = _ALL[kind]
    values = tuple(float(attrs[name]) for name in names)
    result = sequence(m, "x", *values)
    name = "_".join(["f", kind, *(bits(value)[2:-1] for value in values)])
    return name, f"OCTET_DEVICE float {name}(float x) {{\n" + "\n".join([*m.lines, f"  return {result};"]) + "\n}\n"


@dataclass(frozen=True)
class ByteCodes:
    """The parameters of device/requantize.cuh that say how float32 becomes codes, field by field. Scale, parts of its
    inverse and limits: float32 values."""

    zero_point: int
    two_parts: bool
    scale: float
    inverse: float
    rest: float
    low: float
    high: float


def codes_by(scale: np.float32, zero_point: int) -> ByteCodes:
    """How values become codes of this scale: by two products where those give every byte of the division."""
    scale = np.float32(scale)
    if not two_parts_suffice(float(scale)):
        return ByteCodes(zero_point, False, float(scale), 0.0, 0.0, 0.0, 0.0)
    parts, limits = two_parts(scale), [np.float32(code - zero_point) * scale for code in (-128, 127)]
    return ByteCodes(zero_point, True, float(scale), *map(float, (*parts, *limits)))


def softmax_exponential() -> tuple[str, str]:
    """(name, definition) of float name(float x): float_math.exp for x <= 0 in half of the instructions, to the bit; 0
    of NaN.

    The sum with 1.5 * 2 ** 23 rounds to the integer n, which are then the lowest bits; products of n with nine bits are
    exact, so that they may be fused with a sum; and 2 ** n is added to the exponent, as no result is subnormal: where n
    is least, x is above n ln(2)."""
    m = Writer()
    raised = m.add(m.mul("x", m.const(float_math.LOG2_E)), m.const(_ROUNDER))
    n = m.sub(raised, m.const(_ROUNDER))
    near = m._let("float", f"fused({n}, {m.const(-float_math.LN_2_HIGH)}, x)")
    p = float_math.exp_of_rest(m, m.sub(near, m.mul(n, m.const(float_math.LN_2_LOW))))
    scaled = m._let("float", f"float_of_bits(bits_of({p}) + (bits_of({raised}) << 23))")
    lines = [*m.lines, f"  return x >= {m.const(float_math.EXP_LOWEST)} ? {scaled} : 0.0f;"]
    return "f_softmax_exponential", "OCTET_DEVICE float f_softmax_exponential(float x) {\n" + "\n".join(lines) + "\n}\n"


def scalars(operations: Sequence[tuple[str, float, bool]]) -> tuple[str, str]:
    """(name, definition) of float name(float x). operations: (name of a Writer's operation, constant, whether that is
    the right operand), one after the other."""
    m, value = Writer(), "x"
    for name, constant, right in operations:
        value = getattr(m, name)(*((value, m.const(constant)) if right else (m.const(constant), value)))
    symbol = "_".join(
        ["f_scalars", *(f"{name}{'' if right else 'l'}{bits(constant)[2:-1]}" for name, constant, right in operations)]
    )
    return symbol, f"OCTET_DEVICE float {symbol}(float x) {{\n" + "\n".join([*m.lines, f"  return {value};"]) + "\n}\n"


def step(name: str) -> tuple[str, str, int]:
    """(name, definition, gates) of float name(const float* x, const float* r, long gate, float c): an element of a
    recurrent step; gates lie `gate` apart."""
    sequence, gates = recurrent_math.STEPS[name]
    m = Writer()
    x, r = ([m._let("float", f"{side}[{i} * gate]") for i in range(gates)] for side in ("x", "r"))
    result = sequence(m, x, r, "c")
    symbol = f"f_{name.removeprefix('octet.')}"
    return (
        symbol,
        f"OCTET_DEVICE float {symbol}(const float* x, const float* r, long gate, float c) {{\n"
        + "\n".join([*m.lines, f"  return {result};"])
        + "\n}\n",
        gates,
    )
