"""The float32 functions against float64, in units of the last place."""

import math

import numpy as np
import pytest

from octet.passes import unary
from octet.targets import float_math
from octet.targets.float_ops import NumpyOps

X = np.concatenate([np.random.default_rng(0).normal(size=20000) * scale for scale in (1e-4, 1, 4, 30)]).astype(
    "float32"
)
X = X[np.abs(X) < 87]


def ulps(got, expected):
    assert got.dtype == np.float32
    normal = np.abs(expected) > 1.2e-38
    return (np.abs(got - expected) / np.spacing(np.abs(expected).astype("float32")))[normal].max()


@pytest.mark.parametrize(
    ("function", "expected", "limit"),
    [
        (float_math.exp, np.exp, 1.0),
        (float_math.tanh, np.tanh, 1.5),
        (float_math.sigmoid, lambda x: 1 / (1 + np.exp(-x)), 2.5),
        (float_math.softplus, lambda x: np.logaddexp(0, x), 2.5),
        (float_math.erf, np.vectorize(math.erf), 7.0),
    ],
)
def test_error(function, expected, limit):
    with np.errstate(over="ignore"):
        assert ulps(function(NumpyOps, X), expected(X.astype("float64"))) <= limit


def test_log():
    positive = np.abs(X) + np.float32(1e-30)
    assert ulps(float_math.log(NumpyOps, positive), np.log(positive.astype("float64"))) <= 1.0


def test_ends():
    with np.errstate(all="ignore"):
        ends = np.array([-np.inf, -1e9, -88, 0, 88.7, 89, np.inf], "float32")
        exp = float_math.exp(NumpyOps, ends)
        assert (
            exp[[0, 1, 2]].tolist() == [0, 0, 0] and exp[3] == 1 and np.isfinite(exp[4]) and np.isinf(exp[[5, 6]]).all()
        )
        assert float_math.tanh(NumpyOps, ends)[[0, 6]].tolist() == [-1, 1]
        assert float_math.sigmoid(NumpyOps, ends)[[0, 3, 6]].tolist() == [0, 0.5, 1]
        assert float_math.erf(NumpyOps, ends)[[0, 3, 6]].tolist() == [-1, 0, 1]
        log = float_math.log(NumpyOps, np.array([0, 1, np.inf, -1], "float32"))
        assert log[:3].tolist() == [-np.inf, 0, np.inf] and np.isnan(log[3])


@pytest.mark.parametrize("kind", sorted(float_math.FUNCTIONS))
def test_every_kind_is_the_function_of_that_name(kind):
    attrs = {"alpha": 1.1, "beta": 0.4, "gamma": 1.05, "step": 0.25, "low": -4.0}
    x = X[np.abs(X) < 20]
    x = np.abs(x) + np.float32(1e-3) if kind in ("log", "sqrt", "rsqrt", "reciprocal") else x
    with np.errstate(over="ignore"):
        got, expected = float_math.unary(NumpyOps, kind, x, attrs), unary.evaluate(kind, x, attrs)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected, rtol=2e-6, atol=2e-6)
