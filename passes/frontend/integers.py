"""Division, remainder, shifts and powers, with a defined result for all operands: no operand ends the process, and
every target gives the same.

x / 0 = 0,  x mod 0 = 0,  lowest / -1 = lowest,  x mod -1 = 0       (integers; ONNX leaves these open)
x << n, x >> n for n outside of [0, bits): 0, or -1 for x < 0 shifted to the right, as ONNX says"""

from typing import TYPE_CHECKING, Any

import numpy as np
from tvm import relax

if TYPE_CHECKING:
    from .node import OnnxNode

R = relax.op


def _const(value: int, dtype: str) -> relax.Expr:
    return relax.const(np.asarray(value, dtype), dtype)


def _is_integer(node: "OnnxNode") -> bool:
    return node.dtype(0).removeprefix("u").startswith("int")


def _either(node: "OnnxNode", first: relax.Expr, second: relax.Expr, name: str) -> relax.Var:
    return node.emit(R.logical_or(first, second), name)


def divide(node: "OnnxNode") -> relax.Call | None:
    """Truncating division of integers; floats are left to TVM. The divisors 0 and -1 are taken out, x / -1 is 0 - x."""
    return _divided(node, node.inputs[0], node.inputs[1]) if _is_integer(node) else None


def _divided(node: "OnnxNode", x: relax.Expr, y: relax.Expr) -> relax.Call:
    dtype = node.dtype(0)
    zero = node.emit(R.equal(y, _const(0, dtype)), "by_zero")
    special, minus = zero, None
    if dtype.startswith("int"):
        minus = node.emit(R.equal(y, _const(-1, dtype)), "by_minus_one")
        special = _either(node, zero, minus, "special")
    safe = node.emit(R.where(special, _const(1, dtype), y), "divisor")
    quotient = node.emit(R.divide(x, safe), "quotient")
    if minus is not None:
        quotient = node.emit(R.where(minus, node.emit(R.subtract(_const(0, dtype), x), "negated"), quotient), "signed")
    return R.where(zero, _const(0, dtype), quotient)


def modulo(node: "OnnxNode") -> relax.Expr:
    """The sign of the divisor (fmod = 0) or of the dividend (fmod = 1). Of floats the C library's fmod, and for fmod =
    0 one sum more."""
    (x, y), dtype = node.inputs, node.dtype(0)
    if _is_integer(node):
        special = node.emit(R.equal(y, _const(0, dtype)), "by_zero")
        if dtype.startswith("int"):
            special = _either(node, special, node.emit(R.equal(y, _const(-1, dtype)), "by_minus_one"), "special")
        safe = node.emit(R.where(special, _const(1, dtype), y), "divisor")  # The remainder of a division by 1 is 0.
        return (R.mod if node.attrs.get("fmod", 0) else R.floor_mod)(x, safe)
    rest = node.emit(R.mod(x, y), "rest")
    if node.attrs.get("fmod", 0):
        return rest
    zero = _const(0, dtype)
    signs = node.emit(
        R.logical_xor(node.emit(R.less(rest, zero), "rest_sign"), node.emit(R.less(y, zero), "sign")), "signs_differ"
    )
    moved = node.emit(R.logical_and(signs, node.emit(R.not_equal(rest, zero), "not_zero")), "moved")
    return R.where(moved, node.emit(R.add(rest, y), "sum"), rest)


def shift(node: "OnnxNode") -> relax.Expr:
    """A shift by at least the width is one by width - 1, and to the left nothing is left of it."""
    (x, n), dtype = node.inputs, node.dtype(0)
    bits = np.dtype(dtype).itemsize * 8
    beyond = node.emit(R.greater_equal(n, _const(bits, dtype)), "beyond")
    if dtype.startswith("int"):
        beyond = _either(node, beyond, node.emit(R.less(n, _const(0, dtype)), "negative"), "outside")
    count = node.emit(R.where(beyond, _const(bits - 1, dtype), n), "count")
    if node.text("direction", "LEFT") == "RIGHT":
        moved = node.emit(R.right_shift(x, count), "moved")
        return R.where(beyond, _const(0, dtype), moved) if dtype.startswith("u") else moved
    return R.where(beyond, _const(0, dtype), node.emit(R.left_shift(x, count), "moved"))


# An exponent has so many bits that count: from 63 on only -1, 0 and 1 have a power that 64 bits hold, and theirs
# depends on the last bit.
_BITS = 6


def power(node: "OnnxNode") -> "relax.Expr | None":
    """Pow in the type of x. Integers are raised by squaring, one step per bit of the exponent; 1 / x^n is 0 unless x is
    1 or -1. With one operand an integer both are taken to float32."""
    (x, n), dtype, kind = node.inputs, node.dtype(0), node.dtype(1)
    if not _is_integer(node) or not kind.removeprefix("u").startswith("int"):
        if dtype == kind:
            return None
        x = x if dtype == "float32" else node.emit(R.astype(x, "float32"), "base")
        n = n if kind == "float32" else node.emit(R.astype(n, "float32"), "exponent")
        return R.power(x, n) if dtype == "float32" else R.astype(node.emit(R.power(x, n), "power"), dtype)
    n, inverse = _exponent(node, n, dtype, kind)
    one = _const(1, dtype)
    result: Any = None
    for bit in range(_BITS):
        set_ = node.emit(R.bitwise_and(node.emit(R.right_shift(n, _const(bit, dtype)), f"from{bit}"), one), f"bit{bit}")
        factor = node.emit(R.where(node.emit(R.equal(set_, one), f"has{bit}"), x, one), f"factor{bit}")
        result = factor if result is None else node.emit(R.multiply(result, factor), f"power{bit}")
        x = node.emit(R.multiply(x, x), f"square{bit}") if bit < _BITS - 1 else x
    if inverse is None:
        return result
    unit = node.emit(R.equal(node.emit(R.multiply(node.inputs[0], node.inputs[0]), "squared"), one), "unit")
    return R.where(
        node.emit(R.logical_or(node.emit(R.logical_not(inverse), "whole"), unit), "kept"), result, _const(0, dtype)
    )


def _exponent(node: "OnnxNode", n: relax.Expr, dtype: str, kind: str) -> tuple[relax.Expr, Any]:
    """(its magnitude below 64, with the last bit kept; whether it is negative, None where it cannot be)."""
    inverse = None
    if kind.startswith("int"):
        inverse = node.emit(R.less(n, _const(0, kind)), "negative")
        n = node.emit(R.where(inverse, node.emit(R.subtract(_const(0, kind), n), "turned"), n), "magnitude")
    odd = node.emit(R.bitwise_and(n, _const(1, kind)), "odd")
    n = node.emit(R.minimum(n, node.emit(R.add(odd, _const(62, kind)), "most")), "bounded")
    return (n if kind == dtype else node.emit(R.astype(n, dtype), "exponent")), inverse


CONVERTERS = {"Div": divide, "Mod": modulo, "BitShift": shift, "Pow": power}
