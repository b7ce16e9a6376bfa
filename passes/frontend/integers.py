"""Division, remainder and shifts, with a defined result for all operands: no operand ends the process, and every target gives the same.

    x / 0 = 0,  x mod 0 = 0,  lowest / -1 = lowest,  x mod -1 = 0       (integers; ONNX leaves these open)
    x << n, x >> n for n outside of [0, bits): 0, or -1 for x < 0 shifted to the right, as ONNX says"""

import numpy as np
from tvm import relax

R = relax.op


def _const(value, dtype):
    return relax.const(np.asarray(value, dtype), dtype)


def _is_integer(node):
    return node.dtype(0).removeprefix("u").startswith("int")


def _either(node, first, second, name):
    return node.emit(R.logical_or(first, second), name)


def divide(node):
    """Truncating division of integers; floats are left to TVM. The divisors 0 and -1 are taken out, x / -1 is 0 - x."""
    return _divided(node, node.inputs[0], node.inputs[1]) if _is_integer(node) else None


def _divided(node, x, y):
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


def modulo(node):
    """The sign of the divisor (fmod = 0) or of the dividend (fmod = 1). Of floats the C library's fmod, and for fmod = 0 one sum more."""
    x, y, dtype = *node.inputs, node.dtype(0)
    if _is_integer(node):
        special = node.emit(R.equal(y, _const(0, dtype)), "by_zero")
        if dtype.startswith("int"):
            special = _either(node, special, node.emit(R.equal(y, _const(-1, dtype)), "by_minus_one"), "special")
        safe = node.emit(R.where(special, _const(1, dtype), y), "divisor")  # the remainder of a division by 1 is 0
        return (R.mod if node.attrs.get("fmod", 0) else R.floor_mod)(x, safe)
    rest = node.emit(R.mod(x, y), "rest")
    if node.attrs.get("fmod", 0):
        return rest
    zero = _const(0, dtype)
    signs = node.emit(R.logical_xor(node.emit(R.less(rest, zero), "rest_sign"), node.emit(R.less(y, zero), "sign")), "signs_differ")
    moved = node.emit(R.logical_and(signs, node.emit(R.not_equal(rest, zero), "not_zero")), "moved")
    return R.where(moved, node.emit(R.add(rest, y), "sum"), rest)


def shift(node):
    """A shift by at least the width is one by width - 1, and to the left nothing is left of it."""
    x, n, dtype = *node.inputs, node.dtype(0)
    bits = np.dtype(dtype).itemsize * 8
    beyond = node.emit(R.greater_equal(n, _const(bits, dtype)), "beyond")
    if dtype.startswith("int"):
        beyond = _either(node, beyond, node.emit(R.less(n, _const(0, dtype)), "negative"), "outside")
    count = node.emit(R.where(beyond, _const(bits - 1, dtype), n), "count")
    if node.text("direction", "LEFT") == "RIGHT":
        moved = node.emit(R.right_shift(x, count), "moved")
        return R.where(beyond, _const(0, dtype), moved) if dtype.startswith("u") else moved
    return R.where(beyond, _const(0, dtype), node.emit(R.left_shift(x, count), "moved"))


CONVERTERS = {"Div": divide, "Mod": modulo, "BitShift": shift}
