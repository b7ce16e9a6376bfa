"""Products whose sums no order changes."""

import numpy as np
import pytest

from octet.passes.repair.exact_product import exact_product


def operands(seed, rows=7, terms=300, columns=5):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((2, rows, terms)) * 1e3, rng.standard_normal((2, terms, columns)).astype(
        np.float32
    ) * 1e-4


@pytest.mark.parametrize("seed", range(3))
def test_any_order_gives_the_same_bits(seed):
    a, b = operands(seed)
    order = np.random.default_rng(seed).permutation(a.shape[-1])
    want = exact_product(a, b)
    assert want.tobytes() == exact_product(a[..., order], b[:, order]).tobytes()
    assert (
        want.tobytes()
        == np.ascontiguousarray(exact_product(b.transpose(0, 2, 1), a.transpose(0, 2, 1)).transpose(0, 2, 1)).tobytes()
    )
    # A sum of another shape, which a BLAS adds differently, or not at all.
    assert want[:, 2:3].tobytes() == product_of_row(a, b, 2).tobytes()


def product_of_row(a, b, row):
    """By plain Python integers."""
    bits = (53 - a.shape[-1].bit_length()) // 2
    units = [int(np.frexp(np.abs(x).max())[1]) - bits for x in (a, b)]
    whole = [
        np.vectorize(int, otypes=[object])(np.rint(np.ldexp(np.float64(x), -unit))) for x, unit in zip((a, b), units)
    ]
    sums = [[sum(x * y for x, y in zip(whole[0][g, row], column)) for column in whole[1][g].T] for g in range(len(a))]
    assert max(abs(total) for group in sums for total in group) < 1 << 53
    return np.ldexp(np.array(sums, np.float64)[:, None], sum(units))


def test_it_is_as_close_as_float32():
    a, b = operands(9)
    np.testing.assert_allclose(exact_product(a, b), a @ b.astype(np.float64), atol=1e3 * 4 * 1e-4 * 4 * 300 * 2.0**-21)


def test_zeros_and_nothing():
    assert not exact_product(np.zeros((1, 3, 4)), np.ones((1, 4, 2))).any()
    assert exact_product(np.zeros((1, 3, 0)), np.zeros((1, 0, 2))).shape == (1, 3, 2)
