"""The scalar functions of `octet.unary`: each kind's parameters and its value in NumPy.

One definition for annotate (which kinds there are), realize (their 256-entry tables) and the NumPy referee. Values are
computed in float64 and rounded once to float32, so that a table does not depend on how a NumPy build vectorises float32
functions.

==================  ===========================  ==================================================
kind                parameters                   f(x)
==================  ===========================  ==================================================
sigmoid             -                            1 / (1 + exp(-x))
tanh, exp, log, sqrt, rsqrt, erf, abs, sin, cos, floor, ceil, sign          the function of that name
round               -                            to nearest, ties to even
reciprocal          -                            1 / x
softplus            -                            log(1 + exp(x))
softsign            -                            x / (1 + |x|)
silu                -                            x * sigmoid(x)
mish                -                            x * tanh(softplus(x))
gelu                -                            x/2 * (1 + erf(x / sqrt(2)))
gelu_tanh           -                            x/2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3)))
hard_sigmoid        alpha, beta                  min(max(alpha * x + beta, 0), 1)
hard_swish          -                            x * hard_sigmoid(x; 1/6, 1/2)
leaky_relu          alpha                        x if x >= 0 else alpha * x
elu                 alpha                        x if x >= 0 else alpha * (exp(x) - 1)
selu                alpha, gamma                 gamma * elu(x; alpha)
celu                alpha                        max(x, 0) + min(alpha * (exp(x / alpha) - 1), 0)
thresholded_relu    alpha                        x if x > alpha else 0
power               exponent                     x ** exponent
coarse              step, low                    step * round(x / step), kept to [low, low + 255 step]
remainder           step                         x - step * round(x / step)
==================  ===========================  ==================================================
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from octet.targets.float_math import STEPS

from ..targets.seams import Attrs

PARAMETERS = {
    "hard_sigmoid": ("alpha", "beta"),
    "leaky_relu": ("alpha",),
    "elu": ("alpha",),
    "selu": ("alpha", "gamma"),
    "celu": ("alpha",),
    "thresholded_relu": ("alpha",),
    "power": ("exponent",),
    "coarse": ("step", "low"),
    "remainder": ("step",),
}
# The values of these functions have a range that is known beforehand.
RANGES = {"sigmoid": (0.0, 1.0), "hard_sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0)}
# Below these the values are 0 to within 0.0012, so that a range need not reach further.
FLAT = {"gelu": -3.5, "gelu_tanh": -3.5, "hard_swish": -3.0, "silu": -9.0, "mish": -9.0}
PARTS = frozenset({"coarse", "remainder"})  # A float tensor is split into two bytes, which these functions make.
# The slope or range of these functions is unbounded where networks use them, so that 256 steps of either side are not
# enough.
WIDE = frozenset({"exp", "log", "reciprocal", "rsqrt", "sqrt", "power"})


def _sigmoid(x: np.ndarray) -> np.ndarray:
    # Only a non-positive number is raised, so that exp overflows on neither side.
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0, small) / (1.0 + small)


def _softplus(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x)))


def _erf(x: np.ndarray) -> np.ndarray:
    return np.fromiter(map(math.erf, x.ravel()), "float64", x.size).reshape(x.shape)


def _hard_sigmoid(x: np.ndarray, alpha: float, beta: float) -> np.ndarray:
    return np.clip(alpha * x + beta, 0.0, 1.0)


def _elu(x: np.ndarray, alpha: float) -> np.ndarray:
    return np.where(x >= 0, x, alpha * np.expm1(np.minimum(x, 0.0)))


_FUNCTIONS: dict[str, Callable[..., np.ndarray]] = {
    "sigmoid": _sigmoid,
    "tanh": np.tanh,
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
    "rsqrt": lambda x: 1.0 / np.sqrt(x),
    "erf": _erf,
    "abs": np.abs,
    "sin": np.sin,
    "cos": np.cos,
    "floor": np.floor,
    "ceil": np.ceil,
    "round": np.rint,
    "sign": np.sign,
    "reciprocal": lambda x: 1.0 / x,
    "softplus": _softplus,
    "softsign": lambda x: x / (1.0 + np.abs(x)),
    "silu": lambda x: x * _sigmoid(x),
    "mish": lambda x: x * np.tanh(_softplus(x)),
    "gelu": lambda x: 0.5 * x * (1.0 + _erf(x / math.sqrt(2.0))),
    "gelu_tanh": lambda x: 0.5 * x * (1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3))),
    "hard_sigmoid": _hard_sigmoid,
    "hard_swish": lambda x: x * _hard_sigmoid(x, 1.0 / 6.0, 0.5),
    "leaky_relu": lambda x, alpha: np.where(x >= 0, x, alpha * x),
    "elu": _elu,
    "selu": lambda x, alpha, gamma: gamma * _elu(x, alpha),
    "celu": lambda x, alpha: np.maximum(x, 0.0) + np.minimum(alpha * np.expm1(np.minimum(x / alpha, 0.0)), 0.0),
    "thresholded_relu": lambda x, alpha: np.where(x > alpha, x, 0.0),
    "power": lambda x, exponent: np.power(x, exponent),
    "coarse": lambda x, step, low: np.clip(step * np.rint(x / step), low, low + STEPS * step),
    "remainder": lambda x, step: x - step * np.rint(x / step),
}
KINDS = frozenset(_FUNCTIONS)


def range_of(attrs: Attrs) -> tuple[float, float] | None:
    """The range of an `octet.unary` with these attributes, where it is known beforehand."""
    if attrs["kind"] == "coarse":
        return float(attrs["low"]), float(attrs["low"]) + STEPS * float(attrs["step"])
    if attrs["kind"] == "remainder":
        return -0.5 * float(attrs["step"]), 0.5 * float(attrs["step"])
    return RANGES.get(attrs["kind"])


def evaluate(kind: str, x: np.ndarray, attrs: Any = None) -> np.ndarray:
    """f(x), float32 of x's shape. `attrs` may be the whole attribute dictionary of an `octet.unary` call; a kind's
    parameters are taken from it."""
    parameters = {name: float(attrs[name]) for name in PARAMETERS.get(kind, ())}
    with np.errstate(all="ignore"):  # IEEE says what log(-1), 1/0 and overflow are.
        return np.asarray(_FUNCTIONS[kind](np.asarray(x, "float64"), **parameters)).astype("float32")
