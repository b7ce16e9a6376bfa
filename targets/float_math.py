"""Scalar float32 functions as fixed sequences of IEEE operations: one definition for the NumPy referee and for kernels.

Every function takes a namespace `m` that supplies the operations (`FloatOps` of float_ops.py, where NumPy's stand as
well; kernels bring their own for TIR and CUDA C++) and builds the same sequence of float32 operations from it: each
product, sum, quotient and square root is rounded to nearest on its own and never contracted to a fused multiply-add. So
the results are equal to the bit wherever they are computed. Errors are at most 2 ulp over the range that matters to
networks (exp, log 1; tanh, sigmoid, softplus 2.5), 7 ulp for erf.

Range reduction and polynomials of exp, log and tanh: Cephes mathematical library (S. Moshier), single precision. erf:
rational approximation as in Eigen's generic erf for float."""

import math
from collections.abc import Callable, Mapping, Sequence

from .float_ops import FloatOps, FloatValue

EXP_LOWEST = -87.33654  # Below it exp is 0.
LOG2_E = 1.44269504088896341
LN_2_HIGH, LN_2_LOW = 0.693359375, -2.12194440e-4  # Nine bits of ln(2), and the rest.
STEPS = 255  # The steps divide the way from the least to the largest value of coarse.


def exp(m: FloatOps, x: FloatValue) -> FloatValue:
    """e ** x. 0 below -87.33 (no subnormal results), inf above 88.73."""
    low = m.const(EXP_LOWEST)
    clamped = m.min(m.max(x, low), m.const(89.0))
    n = m.rint(m.mul(clamped, m.const(LOG2_E)))
    r = m.sub(m.sub(clamped, m.mul(n, m.const(LN_2_HIGH))), m.mul(n, m.const(LN_2_LOW)))
    p = exp_of_rest(m, r)
    exponent = m.int(n)
    half = m.shift_right(exponent, 1)  # Two factors make up 2 ** n, as n = 128 is no float32 exponent.
    scaled = m.mul(m.mul(p, m.power_of_two(half)), m.power_of_two(m.isub(exponent, half)))
    return m.select(m.less(x, low), m.const(0.0), scaled)


def exp_of_rest(m: FloatOps, r: FloatValue) -> FloatValue:
    """e ** r for |r| <= ln(2) / 2."""
    series = (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1)
    return m.add(m.add(m.mul(_polynomial(m, r, series), m.mul(r, r)), r), m.const(1.0))


def log(m: FloatOps, x: FloatValue) -> FloatValue:
    """Natural logarithm of a positive normal number; -inf at 0, NaN below."""
    tiny = m.const(1.17549435e-38)
    fraction, exponent = m.split(m.max(x, tiny))
    small = m.less(fraction, m.const(0.707106781186547524))
    exponent = m.select(small, m.sub(exponent, m.const(1.0)), exponent)
    f = m.sub(m.select(small, m.add(fraction, fraction), fraction), m.const(1.0))
    z = m.mul(f, f)
    series = (
        7.0376836292e-2,
        -1.1514610310e-1,
        1.1676998740e-1,
        -1.2420140846e-1,
        1.4249322787e-1,
        -1.6668057665e-1,
        2.0000714765e-1,
        -2.4999993993e-1,
        3.3333331174e-1,
    )
    y = m.mul(m.mul(_polynomial(m, f, series), f), z)
    y = m.add(y, m.mul(exponent, m.const(-2.12194440e-4)))
    y = m.sub(y, m.mul(m.const(0.5), z))
    y = m.add(m.add(f, y), m.mul(exponent, m.const(0.693359375)))
    y = m.select(m.less(x, tiny), m.const(-math.inf), y)
    y = m.select(m.less(x, m.const(0.0)), m.const(math.nan), y)
    return m.select(m.less(x, m.const(math.inf)), y, x)


def log1p_of_unit(m: FloatOps, u: FloatValue) -> FloatValue:
    """log(1 + u) for u in [0, 1], accurate for small u."""
    w = m.add(u, m.const(1.0))
    difference = m.sub(w, m.const(1.0))
    unit = m.less(difference, m.const(1e-30))
    quotient = m.div(u, m.select(unit, m.const(1.0), difference))
    return m.select(unit, u, m.mul(log(m, w), quotient))


def tanh(m: FloatOps, x: FloatValue) -> FloatValue:
    """Hyperbolic tangent."""
    magnitude = m.abs(x)
    e = exp(m, m.add(magnitude, magnitude))
    far = m.sub(m.const(1.0), m.div(m.const(2.0), m.add(e, m.const(1.0))))
    far = m.select(m.less(x, m.const(0.0)), m.sub(m.const(0.0), far), far)
    z = m.mul(x, x)
    series = (-5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1)
    near = m.add(m.mul(m.mul(_polynomial(m, z, series), z), x), x)
    return m.select(m.less(magnitude, m.const(0.625)), near, far)


def sigmoid(m: FloatOps, x: FloatValue) -> FloatValue:
    """1 / (1 + e ** -x), without overflow on either side."""
    e = exp(m, m.sub(m.const(0.0), m.abs(x)))
    return m.div(m.select(m.less(x, m.const(0.0)), e, m.const(1.0)), m.add(m.const(1.0), e))


def erf(m: FloatOps, x: FloatValue) -> FloatValue:
    """Error function: x P(x^2) / Q(x^2) on [-4, 4], limited to [-1, 1]."""
    x = m.min(m.max(x, m.const(-4.0)), m.const(4.0))
    z = m.mul(x, x)
    over = (
        -2.72614225801306e-10,
        2.77068142495902e-08,
        -2.10102402082508e-06,
        -5.69250639462346e-05,
        -7.34990630326855e-04,
        -2.95459980854025e-03,
        -1.60960333262415e-02,
    )
    under = (
        -1.45660718464996e-05,
        -2.13374055278905e-04,
        -1.68282697438203e-03,
        -7.37332916720468e-03,
        -1.42647390514189e-02,
    )
    value = m.div(m.mul(x, _polynomial(m, z, over)), _polynomial(m, z, under))
    return m.min(m.max(value, m.const(-1.0)), m.const(1.0))


def softplus(m: FloatOps, x: FloatValue) -> FloatValue:
    """log(1 + e ** x)."""
    e = exp(m, m.sub(m.const(0.0), m.abs(x)))
    return m.add(m.max(x, m.const(0.0)), log1p_of_unit(m, e))


def silu(m: FloatOps, x: FloatValue) -> FloatValue:
    """x * sigmoid(x)."""
    return m.mul(x, sigmoid(m, x))


def mish(m: FloatOps, x: FloatValue) -> FloatValue:
    """x * tanh(softplus(x))."""
    return m.mul(x, tanh(m, softplus(m, x)))


def gelu(m: FloatOps, x: FloatValue) -> FloatValue:
    """x * (1 + erf(x / sqrt(2))) / 2."""
    scaled = m.mul(x, m.const(0.70710678118654752))
    return m.mul(m.mul(m.const(0.5), x), m.add(m.const(1.0), erf(m, scaled)))


def gelu_tanh(m: FloatOps, x: FloatValue) -> FloatValue:
    """GELU's approximation by a hyperbolic tangent."""
    cube = m.mul(m.mul(x, x), x)
    inner = m.mul(m.const(0.79788456080286536), m.add(x, m.mul(m.const(0.044715), cube)))
    return m.mul(m.mul(m.const(0.5), x), m.add(m.const(1.0), tanh(m, inner)))


def hard_sigmoid(m: FloatOps, x: FloatValue, alpha: float, beta: float) -> FloatValue:
    """alpha * x + beta, clipped to [0, 1]."""
    return m.min(m.max(m.add(m.mul(m.const(alpha), x), m.const(beta)), m.const(0.0)), m.const(1.0))


def hard_swish(m: FloatOps, x: FloatValue) -> FloatValue:
    """x * hard_sigmoid(x, 1 / 6, 1 / 2)."""
    return m.mul(x, hard_sigmoid(m, x, 1.0 / 6.0, 0.5))


def leaky_relu(m: FloatOps, x: FloatValue, alpha: float) -> FloatValue:
    """x, below 0 alpha * x."""
    return m.select(m.less(x, m.const(0.0)), m.mul(m.const(alpha), x), x)


def elu(m: FloatOps, x: FloatValue, alpha: float) -> FloatValue:
    """x, below 0 alpha * (e ** x - 1)."""
    grown = m.sub(exp(m, m.min(x, m.const(0.0))), m.const(1.0))
    return m.select(m.less(x, m.const(0.0)), m.mul(m.const(alpha), grown), x)


def selu(m: FloatOps, x: FloatValue, alpha: float, gamma: float) -> FloatValue:
    """gamma * elu(x, alpha)."""
    return m.mul(m.const(gamma), elu(m, x, alpha))


def _whole(m: FloatOps, x: FloatValue, step: float) -> FloatValue:
    """x in whole steps. step: a power of two, so that both products are exact."""
    return m.mul(m.rint(m.mul(x, m.const(1.0 / step))), m.const(step))


def coarse(m: FloatOps, x: FloatValue, step: float, low: float) -> FloatValue:
    """x in whole steps, clipped to the 256 from `low` on: the first byte of two."""
    return m.min(m.max(_whole(m, x, step), m.const(low)), m.const(low + STEPS * step))


def remainder(m: FloatOps, x: FloatValue, step: float) -> FloatValue:
    """What x has over its whole steps: the second byte of two."""
    return m.sub(x, _whole(m, x, step))


# Each kind of octet.unary has a function and the names of its parameters.
FUNCTIONS: dict[str, tuple[Callable[..., FloatValue], tuple[str, ...]]] = {
    "exp": (exp, ()),
    "log": (log, ()),
    "sqrt": (lambda m, x: m.sqrt(x), ()),
    "rsqrt": (lambda m, x: m.div(m.const(1.0), m.sqrt(x)), ()),
    "reciprocal": (lambda m, x: m.div(m.const(1.0), x), ()),
    "abs": (lambda m, x: m.abs(x), ()),
    "round": (lambda m, x: m.rint(x), ()),
    "tanh": (tanh, ()),
    "sigmoid": (sigmoid, ()),
    "erf": (erf, ()),
    "softplus": (softplus, ()),
    "softsign": (lambda m, x: m.div(x, m.add(m.const(1.0), m.abs(x))), ()),
    "silu": (silu, ()),
    "mish": (mish, ()),
    "gelu": (gelu, ()),
    "gelu_tanh": (gelu_tanh, ()),
    "hard_sigmoid": (hard_sigmoid, ("alpha", "beta")),
    "hard_swish": (hard_swish, ()),
    "leaky_relu": (leaky_relu, ("alpha",)),
    "elu": (elu, ("alpha",)),
    "selu": (selu, ("alpha", "gamma")),
    "coarse": (coarse, ("step", "low")),
    "remainder": (remainder, ("step",)),
}


def unary(m: FloatOps, kind: str, x: FloatValue, attrs: Mapping[str, float]) -> FloatValue:
    """The value of an octet.unary `kind` at x; `attrs` holds its parameters. KeyError for a kind that is not in
    FUNCTIONS."""
    function, names = FUNCTIONS[kind]
    return function(m, x, *[float(attrs[name]) for name in names])


def _polynomial(m: FloatOps, x: FloatValue, coefficients: Sequence[float]) -> FloatValue:
    """Horner's rule, the highest power first."""
    value = m.const(coefficients[0])
    for coefficient in coefficients[1:]:
        value = m.add(m.mul(value, x), m.const(coefficient))
    return value
