"""Where the noise comes from: of every operator's result, the error that it makes itself and the error that it inherits."""

from dataclasses import dataclass

import numpy as np

from .configuration import FLOAT, Configuration
from .simulator import Simulator
from .taps import batches

SAMPLES = 32


@dataclass(frozen=True)
class LayerError:
    """name, op: of the operator. own: relative squared error of its result when only its inputs and weights are quantised; total: in the whole
    quantised network. Both against fp32, 1 / SQNR."""

    name: str
    op: str
    own: float
    total: float

    @property
    def inherited(self) -> float:
        """What earlier operators contribute; the two parts are nearly uncorrelated."""
        return max(self.total - self.own, 0.0)


def layer_errors(bench, design, samples: int = SAMPLES) -> list[LayerError]:
    """Of all operators in int8 that compute something, in program order, on held-out samples."""
    groups = [group for group in bench.plan(design).groups if not group.moves]
    simulator, whole = bench.prepared(design)
    taps = tuple(dict.fromkeys(group.result.name for group in groups))
    if not taps:
        return []
    tapped = Simulator(simulator.model, whole.operands, bench.quantized_weights(design), taps=taps, threads=bench.threads, libraries=bench.libraries)
    feeds = list(batches(simulator.model, {name: array[:samples] for name, array in bench.held.items()}))
    alone = [_only(whole, {node.index for node in group.members}) for group in groups]
    own, total, signal = (dict.fromkeys(taps, 0.0) for _ in range(3))
    for feed in feeds:
        exact = _run(tapped, FLOAT, feed)
        rough = _run(tapped, whole, feed)
        for tap in taps:
            signal[tap] += float(np.sum(exact[tap].astype(np.float64) ** 2))
            total[tap] += float(np.sum((rough[tap].astype(np.float64) - exact[tap]) ** 2))
        for group, configuration in zip(groups, alone):
            tap = group.result.name
            tapped.configure(configuration)
            own[tap] += float(np.sum((tapped.run_taps(feed)[tap].astype(np.float64) - exact[tap]) ** 2))
    return [
        LayerError(g.anchor.name, g.anchor.op, own[g.result.name] / max(signal[g.result.name], 1e-30), total[g.result.name] / max(signal[g.result.name], 1e-30))
        for g in groups
    ]


def _run(simulator, configuration, feed):
    simulator.configure(configuration)
    return {name: value.copy() for name, value in simulator.run_taps(feed).items()}


def _only(whole, members):
    operands = {operand: q for operand, q in whole.operands.items() if operand[0] in members}
    return Configuration(operands, {layer: axis for layer, axis in whole.weights.items() if layer in members})
