"""Exact values forward, gradients of real numbers backward."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed (pip install 'octet[train]')")

from octet.tools.training.straight_through import EXACT, instead, rounded_codes, sum_of_products  # noqa: E402
from octet.tools.training.trained_layer import Start, TrainedLayer  # noqa: E402


def test_codes_are_rounded_to_even_and_cut_and_gradients_stop_where_they_are_cut():
    value = torch.tensor([-200.0, -1.5, 0.5, 2.5, 130.0], requires_grad=True)
    codes = rounded_codes(value * 1, 3, -128, 127)
    codes.sum().backward()
    assert codes.tolist() == [-128, 1, 3, 5, 127] and value.grad.tolist() == [0, 1, 1, 1, 0]


def test_sums_beyond_float32_are_exact():
    data, weight = torch.full((1, 40001), 255.0), torch.full((40001, 1), 127.0)
    data[0, 0] = 1
    assert 40000 * 255 * 127 + 127 > EXACT
    assert int(sum_of_products(torch.matmul, data, weight, 40001.0 * 255 * 127)) == 40000 * 255 * 127 + 127


def test_an_exact_value_has_the_gradient_of_its_approximation():
    x = torch.tensor([2.0], requires_grad=True)
    y = instead(x * x, torch.tensor([5.0]))
    y.backward()
    assert y.item() == 5 and x.grad.item() == 4


@pytest.mark.parametrize("stored_bias", [False, True])
def test_a_bias_is_what_the_file_makes_of_it(stored_bias):
    """The int32 of the accumulator, by way of a file that holds steps of a float32 scale, or the float itself; large
    ones lose steps on that way."""
    rng = np.random.default_rng(0)
    codes, scale, data_scale = (
        rng.integers(-127, 128, (64, 9)).astype(np.int8),
        rng.uniform(1e-6, 1e-2, 64).astype(np.float32),
        np.float32(0.0237),
    )
    bias = (rng.standard_normal(64) * 400).astype(np.float32)
    step = np.float64(data_scale) * scale.astype(np.float64)
    layer = TrainedLayer(
        Start(codes, codes * scale[:, None], scale, data_scale, bias, stored_bias),
        codes,
        np.rint(bias / step),
        (step / 0.1).astype(np.float32),
    )
    value = bias
    if stored_bias:
        combined = step.astype(np.float32)
        value = (
            np.rint(bias.astype(np.float64) / combined.astype(np.float64)).astype(np.int32).astype(np.float32)
            * combined
        )
    wanted = np.rint(value.astype(np.float64) / step)
    assert np.abs(wanted).max() > 2**24 and np.array_equal(layer.accumulated_bias().detach().numpy(), wanted)
    layer.accumulated_bias().sum().backward()
    assert torch.allclose(layer.bias.grad, layer.unit / layer.step.float())
