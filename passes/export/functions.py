"""Scalar functions in ONNX (opset 17): the kinds of `octet.unary` (see passes/unary.py for their equations)."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ...targets.errors import UnsupportedModelError
from ...targets.float_math import STEPS

if TYPE_CHECKING:
    from .onnx_qdq import Emitter


_DIRECT = {
    "sigmoid": "Sigmoid",
    "tanh": "Tanh",
    "exp": "Exp",
    "log": "Log",
    "sqrt": "Sqrt",
    "erf": "Erf",
    "abs": "Abs",
    "sin": "Sin",
    "cos": "Cos",
    "floor": "Floor",
    "ceil": "Ceil",
    "sign": "Sign",
    "round": "Round",
    "reciprocal": "Reciprocal",
    "softplus": "Softplus",
    "softsign": "Softsign",
    "hard_swish": "HardSwish",
}
_WITH_ATTRIBUTES = {
    "hard_sigmoid": "HardSigmoid",
    "leaky_relu": "LeakyRelu",
    "elu": "Elu",
    "selu": "Selu",
    "celu": "Celu",
    "thresholded_relu": "ThresholdedRelu",
}


def unary(kind: str, x: str, out: "Emitter", **parameters: float | None) -> str:
    """Emits f(x); the name of the result."""
    known: dict[str, Any] = {key: float(value) for key, value in parameters.items() if value is not None}
    if kind in _DIRECT:
        return out.node(_DIRECT[kind], [x])
    if kind in _WITH_ATTRIBUTES:
        return out.node(_WITH_ATTRIBUTES[kind], [x], **known)
    if kind not in _COMPOSED:
        raise UnsupportedModelError(f"ONNX export: the function {kind!r} has no ONNX form")
    return _COMPOSED[kind](x, out, **known)


def _scalar(out: "Emitter", value: float) -> str:
    return out.constant(np.float32(value))


def _rsqrt(x: str, out: "Emitter") -> str:
    return out.node("Reciprocal", [out.node("Sqrt", [x])])


def _silu(x: str, out: "Emitter") -> str:
    return out.node("Mul", [x, out.node("Sigmoid", [x])])


def _mish(x: str, out: "Emitter") -> str:
    return out.node("Mul", [x, out.node("Tanh", [out.node("Softplus", [x])])])


def _gelu(x: str, out: "Emitter") -> str:
    erf = out.node("Erf", [out.node("Mul", [x, _scalar(out, np.sqrt(0.5))])])
    return _half_times_one_plus(x, erf, out)


def _gelu_tanh(x: str, out: "Emitter") -> str:
    cube = out.node("Mul", [out.node("Mul", [x, x]), out.node("Mul", [x, _scalar(out, 0.044715)])])
    inner = out.node("Mul", [out.node("Add", [x, cube]), _scalar(out, np.sqrt(2 / np.pi))])
    return _half_times_one_plus(x, out.node("Tanh", [inner]), out)


def _half_times_one_plus(x: str, y: str, out: "Emitter") -> str:
    return out.node("Mul", [out.node("Mul", [x, _scalar(out, 0.5)]), out.node("Add", [y, _scalar(out, 1.0)])])


def _power(x: str, out: "Emitter", exponent: float) -> str:
    return out.node("Pow", [x, _scalar(out, exponent)])


def _whole(x: str, out: "Emitter", step: float) -> str:
    return out.node("Mul", [out.node("Round", [out.node("Mul", [x, _scalar(out, 1 / step)])]), _scalar(out, step)])


def _coarse(x: str, out: "Emitter", step: float, low: float) -> str:
    return out.node("Clip", [_whole(x, out, step), _scalar(out, low), _scalar(out, low + STEPS * step)])


def _remainder(x: str, out: "Emitter", step: float) -> str:
    return out.node("Sub", [x, _whole(x, out, step)])


_COMPOSED: dict[str, Callable[..., str]] = {
    "coarse": _coarse,
    "remainder": _remainder,
    "rsqrt": _rsqrt,
    "silu": _silu,
    "mish": _mish,
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
    "power": _power,
}
