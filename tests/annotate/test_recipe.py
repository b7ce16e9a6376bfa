"""Bad options are one line."""

import pytest

from octet.passes.annotate import Recipe
from octet.passes.annotate.quantization_spec import FixedQuantizationSpec, QuantizationSpec
from octet.targets.errors import OctetError


@pytest.mark.parametrize(
    "options",
    [
        {"calibrator": "kl"},
        {"activations": "unsigned"},
        {"weights": "per-row"},
        {"percentile": 10},
        {"percentile": "99"},
        {"percentile": float("nan")},
        {"float_operators": "conv"},
    ],
)
def test_bad_options(options):
    with pytest.raises(OctetError) as error:
        Recipe(**options)
    assert "\n" not in str(error.value)


def test_specs_check_themselves():
    with pytest.raises(OctetError):
        QuantizationSpec("asymmetric")
    with pytest.raises(OctetError):
        FixedQuantizationSpec(1.0, 0.0)


def test_float_operators_become_a_frozen_set():
    assert Recipe(float_operators={"a"}).float_operators == frozenset({"a"})


def test_unknown_operator_in_the_recipe(network, observed):
    module = network(lambda net, x: net.conv(x, 4), (1, 3, 8, 8))
    with pytest.raises(OctetError, match="'nothing', which is no operator"):
        observed(module, float_operators={"nothing"})
