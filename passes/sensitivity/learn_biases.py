"""Biases learnt layer by layer in the quantised network (empirical bias correction, Nagel et al., arXiv 1906.04721,
appendix D):

    bias' = bias + E[y] - E[y']        by channel

y: what the layer makes in fp32, y': in the network in which everything in front of it is quantised and has its bias'.

The mean is the part of an error that adds up. What is the same at most places of a picture (paper behind text, a wall,
silence) is rounded the same way at all of them, and layers behind see that as another background; what functions read
is rounded in front of them, and where they bend, noise itself moves the mean. Both are seen in the network alone, not
in a layer by itself: its own rows say nothing of what lies in front."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from ...targets.batches import batch_of
from ..annotate.graph import Graph
from ..calibrate.held_out import spread
from ..repair.weights import layers_of
from .configuration import FLOAT, Configuration
from .simulator import Simulator
from .taps import batches

if TYPE_CHECKING:
    from ...targets.stored_array import Array
    from ..frontend.model import Model
    from ..repair.weights import Layer
    from .configuration import Operand
    from .libraries import Libraries
    from .simulator import LayerResult


def simulator_by_layers(
    model: "Model", operands: "set[Operand]", threads: int | None, libraries: "Libraries"
) -> Simulator:
    """A simulator of the network whose layers can be looked at one after the other."""
    nodes = Graph(model.module).nodes
    biased = {layer.bias_index for layer in layers_of(model.module).values() if not layer.sums}
    apart = frozenset(nodes[index].name for index in biased if index is not None)
    return Simulator(model, operands, {}, apart=apart, threads=threads, libraries=libraries)


def learn_biases(
    simulator: Simulator,
    configuration: Configuration,
    layers: "Mapping[int, Layer]",
    weights_of: "Callable[[int], np.ndarray]",
    samples: "Mapping[str, Array]",
    exact: dict[int, np.ndarray],
) -> dict[int, np.ndarray]:
    """{layer: what its bias changes by, float32 [channels]} of the layers with int8 weights, but for those in loops.

    simulator: of `simulator_by_layers`, which uses the int8 weights. configuration: what is quantised. layers: those
    that learn. weights_of(layer): the int8 weights as float32. samples: {input: array}, some runs' worth are taken.
    exact: {layer: means of these runs in fp32}, which is filled where it lacks one."""
    results = {index: simulator.result_of(index) for index, layer in layers.items() if layer.bias is not None}
    found = [(result, index) for index, result in results.items() if result is not None]
    found.sort(key=lambda entry: entry[0].step)
    chosen = [(result, index) for result, index in found if index in configuration.weights]
    runs, batch = simulator.most_side_by_side, batch_of(simulator.model.inputs)
    feeds = list(batches(simulator.model, spread(samples, runs * batch, batch)))[:runs]
    deltas = {}
    with simulator.side_by_side(feeds) as inferences:

        def mean(result: "LayerResult", first: int) -> np.ndarray:
            """float64 [channels], of all inferences, which go on from their step `first`."""
            means = [result.rows(arena).mean(0, dtype=np.float64) for arena in inferences.run(first, result.step + 1)]
            return np.mean(means, axis=0)

        if not exact.keys() >= {index for _, index in chosen}:
            simulator.configure(FLOAT)
            for (result, index), first in zip(found, _starts(found), strict=True):
                exact[index] = mean(result, first)
        simulator.configure(configuration)
        for (result, index), first in zip(chosen, _starts(chosen), strict=True):
            delta = (exact[index] - mean(result, first)).astype(np.float32)
            if np.isfinite(delta).all():
                deltas[index] = delta
                simulator.replace_layer(index, weights_of(index), layers[index].bias + delta)
                for _ in inferences.run(result.step, result.step + 1):
                    pass  # What follows reads the layer with its new bias.
    simulator.configure(FLOAT)
    return deltas


def _starts(found: "list[tuple[LayerResult, int]]") -> list[int]:
    """The step that follows each layer's predecessor."""
    return [0, *(result.step + 1 for result, _ in found)][: len(found)]
