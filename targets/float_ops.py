"""The operations that `float_math` is made of, and NumPy's."""

from typing import Any, Protocol, TypeAlias

import numpy as np

# An arithmetic has a value, condition or int32 of its own: an array, a TIR vector, a name in C++.
FloatValue: TypeAlias = Any


class FloatOps(Protocol):
    """The namespace `m` of `float_math`. Operands are float32 where nothing else is said; every result is rounded to
    nearest on its own."""

    def const(self, value: float, /) -> FloatValue:
        """A float32 constant."""

    def add(self, a: FloatValue, b: FloatValue, /) -> FloatValue:
        """a + b."""

    def sub(self, a: FloatValue, b: FloatValue, /) -> FloatValue:
        """a - b."""

    def mul(self, a: FloatValue, b: FloatValue, /) -> FloatValue:
        """a * b, which no sum behind it is contracted with."""

    def div(self, a: FloatValue, b: FloatValue, /) -> FloatValue:
        """a / b."""

    def min(self, a: FloatValue, b: FloatValue, /) -> FloatValue:
        """The smaller of two."""

    def max(self, a: FloatValue, b: FloatValue, /) -> FloatValue:
        """The larger of two."""

    def sqrt(self, x: FloatValue, /) -> FloatValue:
        """The square root."""

    def rint(self, x: FloatValue, /) -> FloatValue:
        """The nearest integer, halves to the even one."""

    def abs(self, x: FloatValue, /) -> FloatValue:
        """Without its sign."""

    def select(self, condition: FloatValue, a: FloatValue, b: FloatValue, /) -> FloatValue:
        """a where the condition holds, else b."""

    def less(self, a: FloatValue, b: FloatValue, /) -> FloatValue:
        """The condition a < b."""

    def int(self, x: FloatValue, /) -> FloatValue:
        """int32 of a float32 that is integral."""

    def shift_right(self, i: FloatValue, n: Any, /) -> FloatValue:
        """i >> n of an int32, arithmetic: the sign stays."""

    def isub(self, i: FloatValue, j: FloatValue, /) -> FloatValue:
        """i - j of int32."""

    def power_of_two(self, i: FloatValue, /) -> FloatValue:
        """2.0 ** i as float32, for int32 i in [-126, 127]."""

    def split(self, x: FloatValue, /) -> tuple[FloatValue, FloatValue]:
        """(f, e), both float32: x = f * 2**e, f in [0.5, 1), for normal x > 0."""


class NumpyOps:
    """The operations on NumPy float32 arrays (`FloatOps` says what each gives)."""

    const, add, sub, mul, div = np.float32, np.add, np.subtract, np.multiply, np.divide
    min, max, sqrt, rint, abs, select, less, isub = (
        np.minimum,
        np.maximum,
        np.sqrt,
        np.rint,
        np.abs,
        np.where,
        np.less,
        np.subtract,
    )

    @staticmethod
    def int(x: np.ndarray) -> np.ndarray:
        """int32 of integral float32."""
        return np.asarray(x).astype(np.int32)

    @staticmethod
    def shift_right(i: np.ndarray, n: Any) -> np.ndarray:
        """i >> n of an int32, arithmetic: the sign stays."""
        return np.right_shift(i, n)

    @staticmethod
    def power_of_two(i: np.ndarray) -> np.ndarray:
        """2.0 ** i as float32, for int32 i in [-126, 127]."""
        return ((np.asarray(i, np.int32) + 127) << 23).astype(np.int32).view(np.float32)

    @staticmethod
    def split(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(f, e), both float32: x = f * 2**e, f in [0.5, 1), for normal x > 0."""
        bits = np.asarray(x, np.float32).view(np.int32)
        fraction = ((bits & 0x007FFFFF) | 0x3F000000).astype(np.int32).view(np.float32)
        return fraction, ((bits >> 23) - 126).astype(np.float32)
