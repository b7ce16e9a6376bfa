"""The scalar functions: the NumPy definition against closed forms."""

import math

import numpy as np
import pytest

from octet.passes import unary

VALUES = np.concatenate([np.linspace(-6, 6, 97), [0.0, -30.0, 30.0]]).astype("float32")
PARAMETERS = {"alpha": 0.3, "beta": 0.4, "gamma": 1.1, "exponent": 3.0, "step": 0.25, "low": -4.0}
POSITIVE = {"log", "sqrt", "rsqrt", "reciprocal"}


def attributes(kind):
    return {name: PARAMETERS[name] for name in unary.PARAMETERS.get(kind, ())}


@pytest.mark.parametrize("kind", sorted(unary.KINDS))
def test_float32_in_every_shape(kind):
    x = np.abs(VALUES) + 0.5 if kind in POSITIVE else VALUES
    y = unary.evaluate(kind, x.reshape(4, -1), attributes(kind) | {"kind": kind})
    assert y.dtype == np.float32 and y.shape == (4, x.size // 4) and np.isfinite(y).all()
    assert unary.evaluate(kind, x[0], attributes(kind)).shape == ()


@pytest.mark.parametrize(
    "kind, x, y",
    [
        ("sigmoid", 0.0, 0.5),
        ("silu", 2.0, 2 / (1 + math.exp(-2))),
        ("gelu", 1.0, 0.5 * (1 + math.erf(math.sqrt(0.5)))),
        ("softplus", 100.0, 100.0),
        ("softplus", -100.0, math.exp(-100)),
        ("mish", 1.0, math.tanh(math.log(1 + math.e))),
        ("hard_sigmoid", 1.0, 0.7),
        ("hard_swish", 1.0, 4 / 6),
        ("hard_swish", -3.0, 0.0),
        ("leaky_relu", -2.0, -0.6),
        ("elu", -1.0, 0.3 * (math.exp(-1) - 1)),
        ("selu", -1.0, 1.1 * 0.3 * (math.exp(-1) - 1)),
        ("celu", -1.0, 0.3 * (math.exp(-1 / 0.3) - 1)),
        ("thresholded_relu", 0.25, 0.0),
        ("round", 2.5, 2.0),
        ("power", -2.0, -8.0),
        ("sigmoid", -1000.0, 0.0),
    ],
)
def test_known_values(kind, x, y):
    assert math.isclose(float(unary.evaluate(kind, np.float32(x), attributes(kind))), y, rel_tol=2e-7, abs_tol=1e-40)
