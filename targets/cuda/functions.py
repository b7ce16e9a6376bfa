"""Scalar float32 functions as CUDA C++: the sequences of `targets/float_math.py`, written out operation by operation."""

from .. import float_math
from .kernel import bits


def _two(name):
    """A method that calls the device function `name` of two operands."""
    return lambda self, a, b: self._let("float", f"{name}({a}, {b})")


class Writer:
    """The operations of float_math's `m`; every one becomes a line that names its result."""

    def __init__(self):
        self.lines: list[str] = []

    def _let(self, kind: str, text: str) -> str:
        name = f"t{len(self.lines)}"
        self.lines.append(f"  {kind} {name} = {text};")
        return name

    def const(self, value):
        return f"float_of_bits({bits(value)})"

    add, sub, mul, div, min, max = map(_two, ("add", "sub", "mul", "quotient", "lesser", "greater"))

    def sqrt(self, x):
        return self._let("float", f"root({x})")

    def rint(self, x):
        return self._let("float", f"nearest({x})")

    def abs(self, x):
        return self._let("float", f"float_of_bits(bits_of({x}) & 0x7fffffffu)")

    def select(self, condition, a, b):
        return self._let("float", f"{condition} ? {a} : {b}")

    def less(self, a, b):
        return self._let("bool", f"{a} < {b}")

    def int(self, x):
        return self._let("int", f"to_int({x})")

    def shift_right(self, i, n):
        return self._let("int", f"{i} >> {n}")

    def isub(self, i, j):
        return self._let("int", f"{i} - {j}")

    def power_of_two(self, i):
        return self._let("float", f"float_of_bits(static_cast<unsigned>({i} + 127) << 23)")

    def split(self, x):
        raw = self._let("unsigned", f"bits_of({x})")
        exponent = f"to_float(static_cast<int>({raw}) / 8388608 - 126)"
        return self._let("float", f"float_of_bits(({raw} & 0x007fffffu) | 0x3f000000u)"), self._let("float", exponent)


_MORE = {
    "relu": lambda m, x: m.max(x, m.const(0.0)),
    "negative": lambda m, x: m._let("float", f"-{x}"),
    "square": lambda m, x: m.mul(x, x),
    "floor": lambda m, x: m._let("float", f"floorf({x})"),
    "ceil": lambda m, x: m._let("float", f"ceilf({x})"),
}


def known(kind: str) -> bool:
    return kind in float_math.FUNCTIONS or kind in _MORE or kind == "clip"


def function(kind: str, attrs) -> tuple[str, str]:
    """(name, definition) of float name(float x). attrs: the parameters of the kind; "low" and "high" of "clip"."""
    m = Writer()
    if kind == "clip":
        parameters = (attrs["low"], attrs["high"])
        result = m.min(m.max("x", m.const(attrs["low"])), m.const(attrs["high"]))
    elif kind in _MORE:
        parameters, result = (), _MORE[kind](m, "x")
    else:
        parameters = tuple(float(attrs[name]) for name in float_math.FUNCTIONS[kind][1])
        result = float_math.unary(m, kind, "x", attrs)
    name = "_".join(["f", kind, *(bits(value)[2:-1] for value in parameters)])
    return name, f"OCTET_DEVICE float {name}(float x) {{\n" + "\n".join([*m.lines, f"  return {result};"]) + "\n}\n"
