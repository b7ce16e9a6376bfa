"""Where the noise comes from: of every operator's result, the error that it makes itself and the error that it
inherits."""

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

import numpy as np

from .configuration import FLOAT, Configuration
from .simulator import Simulator
from .taps import batches

if TYPE_CHECKING:
    from .bench import Bench
    from .design import Design


SAMPLES = 32


@dataclass(frozen=True)
class LayerError:
    """How much one operator loses to quantisation.

    name, op: of the operator. own: relative squared error of its result when only its inputs and weights are
    quantised; total: in the whole quantised network. Both against fp32, 1 / SQNR; infinite where a value is not finite
    and fp32's is."""

    name: str
    op: str
    own: float
    total: float

    @property
    def inherited(self) -> float:
        """What earlier operators contribute; the two parts are nearly uncorrelated."""
        return max(self.total - self.own, 0.0) if self.own < inf else 0.0


def layer_errors(bench: "Bench", design: "Design", samples: int = SAMPLES) -> list[LayerError]:
    """The errors of all operators in int8 that compute something, in program order, on held-out samples."""
    groups = [group for group in bench.plan(design).groups if not group.moves]
    simulator, whole = bench.prepared(design)
    taps = tuple(dict.fromkeys(group.result.name for group in groups))
    if not taps:
        return []
    tapped = Simulator(
        simulator.model,
        whole.operands,
        bench.quantized_weights(design),
        taps=taps,
        threads=bench.threads,
        libraries=bench.libraries,
    )
    feeds = list(batches(simulator.model, {name: array[:samples] for name, array in bench.held.items()}))
    alone = [_only(whole, {node.index for node in group.members}) for group in groups]
    own, total, signal = (dict.fromkeys(taps, 0.0) for _ in range(3))
    for feed in feeds:
        exact = _run(tapped, FLOAT, feed)
        rough = _run(tapped, whole, feed)
        for tap in taps:
            signal[tap] += float(np.sum(np.where(np.isfinite(exact[tap]), exact[tap], 0.0).astype(np.float64) ** 2))
            total[tap] += _noise(exact[tap], rough[tap])
        for group, configuration in zip(groups, alone):
            tap = group.result.name
            tapped.configure(configuration)
            own[tap] += _noise(exact[tap], tapped.run_taps(feed)[tap])
    return [
        LayerError(
            g.anchor.name,
            g.anchor.op,
            own[g.result.name] / max(signal[g.result.name], 1e-30),
            total[g.result.name] / max(signal[g.result.name], 1e-30),
        )
        for g in groups
    ]


def _noise(exact: np.ndarray, output: np.ndarray) -> float:
    """Squared differences in all; places where fp32 is not finite do not count."""
    finite = np.isfinite(exact)
    if not np.isfinite(output[finite]).all():
        return inf
    return float(np.sum((output[finite].astype(np.float64) - exact[finite]) ** 2))


def _run(simulator: Simulator, configuration: Configuration, feed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    simulator.configure(configuration)
    return {name: value.copy() for name, value in simulator.run_taps(feed).items()}


def _only(whole: Configuration, members: set[int]) -> Configuration:
    operands = {operand: q for operand, q in whole.operands.items() if operand[0] in members}
    return Configuration(operands, {layer: axis for layer, axis in whole.weights.items() if layer in members})
