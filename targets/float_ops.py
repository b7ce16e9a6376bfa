"""What the sequences of `float_math.py` are written in: arrays (NumPy), TIR vectors, names in a text of C++."""

import builtins
from typing import Any, Protocol, TypeAlias

FloatValue: TypeAlias = Any  # a float32, a condition or an int32 of that arithmetic


class FloatOps(Protocol):
    """Operations on float32 values, each rounded once to nearest; on conditions and on int32 where they say so."""

    def const(self, value: float, /) -> FloatValue:
        """The float32 nearest to a number."""

    def add(self, a: FloatValue, b: FloatValue, /) -> FloatValue:
        """a + b."""

    def sub(self, a: FloatValue, b: FloatValue, /) -> FloatValue:
        """a - b."""

    def mul(self, a: FloatValue, b: FloatValue, /) -> FloatValue:
        """a * b; never contracted with a sum that follows."""

    def div(self, a: FloatValue, b: FloatValue, /) -> FloatValue:
        """a / b."""

    def min(self, a: FloatValue, b: FloatValue, /) -> FloatValue:
        """The smaller one."""

    def max(self, a: FloatValue, b: FloatValue, /) -> FloatValue:
        """The larger one."""

    def sqrt(self, x: FloatValue, /) -> FloatValue:
        """The square root."""

    def rint(self, x: FloatValue, /) -> FloatValue:
        """The nearest whole number, ties to even."""

    def abs(self, x: FloatValue, /) -> FloatValue:
        """Without the sign."""

    def select(self, condition: FloatValue, a: FloatValue, b: FloatValue, /) -> FloatValue:
        """a where the condition holds, else b."""

    def less(self, a: FloatValue, b: FloatValue, /) -> FloatValue:
        """The condition a < b; false for NaN."""

    def int(self, x: FloatValue, /) -> FloatValue:
        """A whole number as int32."""

    def shift_right(self, i: FloatValue, n: builtins.int, /) -> FloatValue:
        """int32 / 2 ** n, rounded down."""

    def isub(self, i: FloatValue, j: FloatValue, /) -> FloatValue:
        """int32 i - j."""

    def power_of_two(self, i: FloatValue, /) -> FloatValue:
        """2 ** i of an int32."""

    def split(self, x: FloatValue, /) -> tuple[FloatValue, FloatValue]:
        """(fraction in [0.5, 1), exponent) of a positive normal number, both float32."""
