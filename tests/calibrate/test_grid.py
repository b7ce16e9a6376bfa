"""Weights on a grid keep it; ordinary weights have none."""

import numpy as np
import pytest
import tvm

from octet.passes.calibrate.grid import grid_scales
from octet.passes.calibrate.weights import quantize_weight, weight_scales
from octet.passes.rewriting.grids import Grid, file_scales, grids_of, with_grids

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("low, high", [(-127, 127), (-128, 127), (-3, 3), (-60, 60)])
def test_the_weights_themselves(axis, low, high):
    q = RNG.integers(low, high + 1, (6, 40)).astype("float32")
    q[0, :], q[:, 0] = low, low
    scales = np.float32(0.0123) if axis < 0 else RNG.uniform(1e-4, 1e-1, q.shape[axis]).astype("float32")
    weight = q * (scales if axis < 0 else scales.reshape([-1 if i == axis else 1 for i in range(2)]))
    found = weight_scales(weight, axis, 0.01, None)
    back = quantize_weight(weight, found, axis).astype("float32") * (
        found if axis < 0 else found.reshape([-1 if i == axis else 1 for i in range(2)])
    )
    np.testing.assert_allclose(back, weight, rtol=1e-6, atol=0)


def test_the_scale_uses_the_range():
    """A coarse grid is refined by a whole number, so that biases have a fine step."""
    assert grid_scales(np.array([[1.0, 2.0, -3.0]], "float32"), 0) == pytest.approx(1 / 42)


@pytest.mark.parametrize("shape", [(16, 64), (16, 1, 3, 3), (1, 5)])
def test_ordinary_weights(shape):
    assert grid_scales(RNG.standard_normal(shape).astype("float32"), 0) is None


def test_a_channel_of_zeros():
    weight = np.array([[0, 0, 0], [1, 2, 127]], "float32")
    assert (
        grid_scales(weight, 0).tolist() == [0, 1] and (weight_scales(weight, 0, 0.01, np.array([3.0, 0.0])) > 0).all()
    )


def test_a_bias_that_would_not_fit_raises_the_scale():
    weight = np.array([[1, 2, 127]], "float32") * 1e-6
    assert weight_scales(weight, 0, 1e-3, np.array([5.0])) >= 5.0 / (1e-3 * 2.0**30)


def test_a_file_says_its_scale():
    """Where values alone would give a grid of three times the step."""
    steps, scale = np.array([[3, -6, 0], [9, 30, 3]]), np.float32(0.0123)
    weight = steps.astype("float32") * scale
    other = Grid.of(np.array([[1, -2, 0], [3, 10, 1]]), np.float32([0.04]))
    assert (
        file_scales(weight, 0, [other, Grid.of(steps, scale.reshape(1))]).tolist() == [scale, scale]
        and grid_scales(weight, 0)[0] != scale
    )
    assert file_scales(weight * np.float32(1.1), 0, [Grid.of(steps, scale.reshape(1))]) is None, (
        "canonicalisation has changed the values"
    )


def test_a_module_carries_the_grids_of_its_file():
    module = with_grids(tvm.IRModule({}), [Grid.of(np.array([3, -4]), np.float32([0.5, 2]))])
    (found,) = grids_of(module)
    assert (
        found.scales.tolist() == [0.5, 2] and (found.size, found.total) == (2, 7) and grids_of(tvm.IRModule({})) == []
    )
