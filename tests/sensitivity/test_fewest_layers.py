"""The fewest layers in float: few measurements find them."""

import pytest

from octet.passes.sensitivity.choices.fewest_layers import fewest_layers, guessed
from octet.passes.sensitivity.ranking import Ranked

RANKING = [Ranked(str(i), "conv", 1.0 / (i + 1), 0.0, 10) for i in range(90)]


@pytest.mark.parametrize("first", [1, 2, 30, 90, 200])
@pytest.mark.parametrize("needed", [{0}, {3}, {0, 5}, {1, 17, 40}, {89}])
def test_of_many_layers_few_measurements_find_those_that_are_needed(needed, first):
    asked = []

    def holds(layers):
        asked.append(layers)
        return needed <= {int(layer.name) for layer in layers}

    found = fewest_layers(RANKING, holds, lambda *a: None, lambda: False, first)
    names = {int(layer.name) for layer in found}
    assert needed <= names and len(asked) <= 24
    assert len(names) <= len(needed) * (1 + max(needed) // 8), "pieces without one that is needed are gone"
    assert fewest_layers(RANKING, lambda layers: False, lambda *a: None, lambda: False, first) is None


def test_what_raises_the_error_much_is_needed_unasked():
    asked = []

    def holds(layers):
        asked.append(len(layers))
        return len(layers) >= 32

    error = lambda layers: 1.0 + 0.2 * (RANKING[31 - 8] not in layers)  # noqa: E731
    fewest_layers(RANKING, holds, lambda *a: None, lambda: False, 32, error)
    assert asked.count(28) == 1 + 7 - 1, "seven pieces of four layers but for one, besides the way there"


def test_a_good_guess_is_asked_for_little():
    asked = []

    def holds(layers):
        asked.append(len(layers))
        return len(layers) >= 41

    assert len(fewest_layers(RANKING, holds, lambda *a: None, lambda: False, 40)) == 41
    assert len([count for count in asked if count < 40]) <= 8, "pieces that may not be needed"
    assert guessed(RANKING, lambda layers: 1.0 - 0.01 * len(layers), 0.6) == 40
    assert guessed(RANKING, lambda layers: 1.0, 0.5) == 90 and guessed(RANKING, lambda layers: 0.0, 0.5) == 1
