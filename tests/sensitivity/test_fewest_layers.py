"""The fewest layers in float: few measurements find them."""

import pytest

from octet.passes.sensitivity.choices.fewest_layers import fewest_layers
from octet.passes.sensitivity.ranking import Ranked


@pytest.mark.parametrize("needed", [{0}, {3}, {0, 5}, {1, 17, 40}])
def test_of_many_layers_few_measurements_find_those_that_are_needed(needed):
    ranking, asked = [Ranked(str(i), "conv", 1.0 / (i + 1), 0.0, 10) for i in range(90)], []

    def holds(layers):
        asked.append(layers)
        return needed <= {int(layer.name) for layer in layers}

    found = fewest_layers(ranking, holds, lambda *a: None, lambda: False)
    names = {int(layer.name) for layer in found}
    assert needed <= names and len(asked) <= 24
    assert len(names) <= len(needed) * (1 + max(needed) // 8), "pieces without one that is needed are gone"
    assert fewest_layers(ranking, lambda layers: False, lambda *a: None, lambda: False) is None
