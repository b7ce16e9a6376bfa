"""What the layers of a network learn: how their weights are rounded, then the biases that belong to these weights."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ..repair.weights import Layer, quantized_layer
from .configuration import Configuration
from .layer_values import layer_value, layer_values
from .learn import Learnt, round_layers
from .learn_biases import learn_biases, simulator_by_layers
from .simulator import RescaledNetwork

if TYPE_CHECKING:
    from ...targets.stored_array import Array
    from .design import Design
    from .libraries import Libraries


_KEPT = 1 << 28  # A simulator of more bytes of weights is built again rather than kept for the next design.


@dataclass(frozen=True)
class Learner:
    """Learns for one network. layers: those that learn. whole: what is quantised where no operator is in float by name.
    samples: {input: array} that it learns from."""

    network: RescaledNetwork
    layers: Mapping[int, Layer]
    whole: Configuration
    samples: "Mapping[str, Array]"
    threads: int | None
    libraries: "Libraries"

    def weights(self, rounding: bool, centred: bool) -> dict[int, np.ndarray]:
        """{layer: int8 weights}: rounded by data, or to the nearest. centred: a correction of biases follows. They are
        kept with the network."""
        known, key = self.network.weights, (self.whole, rounding, rounding and centred)
        found = next((weights for each, weights in known if each == key), None)
        if found is None:
            found = self._rounded(centred) if rounding else self._nearest()
            known.append((key, found))
        return found

    def with_biases(
        self, weights: Mapping[int, np.ndarray], design: "Design", configuration: Configuration
    ) -> dict[int, Learnt]:
        """The weights with what corrects the biases in this design. configuration: what it quantises."""
        network, plain, known = self.network, replace(design, biases=False), unbiased(weights, self.layers)
        simulator, wanted = network.by_layers, network.operands | configuration.operands.keys()
        if simulator is None or not wanted <= set(simulator.operands):
            simulator = simulator_by_layers(network.model, wanted, self.threads, self.libraries)
        network.by_layers = simulator if simulator.weight_bytes <= _KEPT else None
        simulator.use(layer_values(network.model.module, plain, configuration, known))

        def weights_of(index: int) -> np.ndarray:
            return layer_value(self.layers[index], plain, configuration, known[index])[0]

        deltas = learn_biases(simulator, configuration, self.layers, weights_of, self.samples, network.means)
        return {
            index: replace(learnt, bias_delta=deltas.get(index, learnt.bias_delta)) for index, learnt in known.items()
        }

    def _rounded(self, centred: bool) -> dict[int, np.ndarray]:
        return round_layers(
            self.network.model,
            self.whole,
            self.samples,
            centred=centred,
            threads=self.threads,
            libraries=self.libraries,
        )

    def _nearest(self) -> dict[int, np.ndarray]:
        return {
            index: quantized_layer(layer, self.whole.weights[index], self.whole.operands[index, 0].scale)[0]
            for index, layer in self.layers.items()
        }


def unbiased(weights: Mapping[int, np.ndarray], layers: Mapping[int, Layer]) -> dict[int, Learnt]:
    """Layers that learnt nothing of their biases."""
    return {
        index: Learnt(weight, np.zeros(weight.shape[layers[index].axis], np.float32))
        for index, weight in weights.items()
    }
