"""The referee's float products: one order of sums on every machine."""

import numpy as np
import pytest

from octet.passes.referee.ordered_product import ordered_product

RNG = np.random.default_rng(0)


def by_definition(a, b):
    """One product after the other, float64, rounded once."""
    total = np.zeros((a.shape[0], b.shape[1]))
    for k in range(a.shape[1]):
        total = total + a[:, k, None].astype(np.float64) * b[k].astype(np.float64)
    return total.astype(np.float32)


@pytest.mark.parametrize("m, k, n", [(1, 1, 1), (3, 700, 5), (70, 33, 2000), (5, 0, 4)])
def test_sums_are_taken_in_the_documented_order(m, k, n):
    a, b = (RNG.standard_normal(shape) * np.exp2(RNG.integers(-40, 40, shape)) for shape in ((m, k), (k, n)))
    a, b = a.astype(np.float32), b.astype(np.float32)
    assert ordered_product(a, b).tobytes() == by_definition(a, b).tobytes()
    assert ordered_product(a[:, ::-1][:, ::-1], b.T.copy().T).tobytes() == by_definition(a, b).tobytes(), (
        "whatever the strides"
    )


@pytest.mark.parametrize(
    "left, right",
    [
        ((2, 3, 4, 5), (5, 6)),
        ((4, 5), (3, 5, 2)),
        ((2, 1, 4, 5), (3, 5, 2)),
        ((5,), (5, 3)),
        ((2, 4, 5), (5,)),
        ((5,), (5,)),
    ],
)
def test_batches_and_vectors_are_those_of_matmul(left, right):
    a, b = RNG.integers(-9, 9, left).astype(np.float32), RNG.integers(-9, 9, right).astype(np.float32)
    found = ordered_product(a, b)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.matmul(a, b))


def test_infinities_and_nan_are_results():
    a, b = np.array([[np.inf, 1], [3e38, 3e38], [np.nan, 0]], np.float32), np.array([[1, 0], [1, 1]], np.float32)
    np.testing.assert_array_equal(
        ordered_product(a, b), np.array([[np.inf, np.nan], [np.inf, 3e38], [np.nan, np.nan]], np.float32)
    )
