"""Weight rounding learnt from data (the objective of AdaRound, Nagel et al., arXiv 2004.10568, equation 20), layer by layer:

    q = argmin over q in {floor(w / s), ceil(w / s)} of || X' w - X' (s q) ||^2

X': rows of the layer's input, quantised. Solved by coordinate descent on their Gram matrix from rounding to nearest, so the layer's error on these rows never grows. The same rows give the
same integers on every machine (moments.py, exact_product.py). What X' itself is wrong by is not fitted: a few rows that a range clips are most of it, and the others paid for them. The fp32
weights stay as they are: the rounding is applied to the hub."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from tvm import IRModule

from ..annotate.graph import Graph, array_of, is_constant
from ..ops import is_op
from .exact_product import product
from .moments import Moments
from .weights import Operand, products, replace_constants

_SWEEPS = 4
_BLOCK = 32  # taps
_RIDGE = 0.01  # of the mean diagonal: where data say nothing, to nearest


@dataclass(frozen=True)
class RoundWeights:
    """rounded: {layer: int8 weights}, as `round_layer` makes them; a layer is counted over the convolutions and matmuls of the graph, as names may
    change on the way. Runs on the hub; layers whose weights are float there stay."""

    rounded: Mapping[int, np.ndarray]

    def __call__(self, mod: IRModule) -> IRModule:
        graph = Graph(mod)
        constants: dict[Operand, np.ndarray] = {}
        for number, node in enumerate(products(graph)):
            if number not in self.rounded:
                continue
            weight = graph.producer.get(node.inputs[1])
            if weight is None or not is_op(weight.value, "relax.dequantize") or not is_constant(weight.inputs[0]):
                continue
            old, new = array_of(weight.inputs[0]), self.rounded[number]
            assert np.abs(old.astype(int) - new).max() <= 1, f"{node.name}: a weight moved by more than one step"
            constants[weight.index, 0] = new
        return replace_constants(mod, constants, np.int8) if constants else mod


def round_layer(weight: np.ndarray, scale: np.ndarray, moments: Moments, centred: bool) -> np.ndarray:
    """int8 [G, K, O]. weight: float [G, K, O], scale: [G, O]; moments: of the rows of X'.
    centred: a bias correction follows, so that means do not count."""
    gram = moments.gram(centred)
    ridge = _RIDGE * np.diagonal(gram, axis1=1, axis2=2).sum(1) / gram.shape[1] + 1e-12
    gram = (gram + ridge[:, None, None] * np.eye(gram.shape[1])).astype(np.float32)
    step = scale[:, None, :].astype(np.float32)
    ratio = weight / step
    low = np.clip(np.floor(ratio), -127, 127).astype(np.float32)
    high = np.clip(np.ceil(ratio), -127, 127).astype(np.float32)
    q = np.clip(np.rint(ratio), -127, 127).astype(np.float32)
    gradient = product(gram, q * step - weight).astype(np.float32)
    for _ in range(_SWEEPS):
        if not _sweep(q, low, high, step[:, 0], gram, gradient):
            break
    return q.astype(np.int8)


def _sweep(q, low, high, step, gram, gradient):
    """One pass over the taps of all channels; whether anything moved. q and gradient change in place. What a block of taps does to the others is one product at its end."""
    moved = False
    for first in range(0, q.shape[1], _BLOCK):
        block = slice(first, first + _BLOCK)
        here, changes = gradient[:, block].copy(), np.zeros_like(q[:, block])
        for k in range(changes.shape[1]):
            now, lower, upper = q[:, first + k], low[:, first + k], high[:, first + k]
            other = np.where(now == upper, lower, upper)
            change = (other - now) * step
            better = 2 * change * here[:, k] + change * change * gram[:, first + k, first + k][:, None] < 0
            if not better.any():
                continue
            changes[:, k] = np.where(better, change, 0)
            q[:, first + k] = np.where(better, other, now)
            here += gram[:, block, first + k][:, :, None] * changes[:, k][:, None]
        if changes.any():
            moved = True
            gradient += product(gram[:, :, block], changes).astype(np.float32)
    return moved
