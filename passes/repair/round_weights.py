"""Weight rounding learnt from data (the objective of AdaRound, Nagel et al., arXiv 2004.10568, equation 20), layer by layer:

    q = argmin over q in {floor(w / s), ceil(w / s)} of || X w - X' (s q) ||^2

X: rows of the layer's input in fp32, X': the same quantised. Solved by coordinate descent on the Gram matrices from rounding to nearest, so
the layer's error on these rows never grows. The same rows give the same integers on every machine (exact_product.py). The fp32 weights stay as they are: the rounding is applied to the hub."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from tvm import IRModule

from ..annotate.graph import Graph, array_of, is_constant
from ..ops import is_op
from .exact_product import product
from .weights import products, replace_constants

_SWEEPS = 4
_RIDGE = 0.01  # of the mean diagonal: where data say nothing, to nearest


@dataclass(frozen=True)
class RoundWeights:
    """rounded: {layer: int8 weights}, as `round_layer` makes them; a layer is counted over the convolutions and matmuls of the graph, as names may
    change on the way. Runs on the hub; layers whose weights are float there stay."""

    rounded: Mapping[int, np.ndarray]

    def __call__(self, mod: IRModule) -> IRModule:
        graph, constants = Graph(mod), {}
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


def round_layer(weight: np.ndarray, scale: np.ndarray, rows: np.ndarray, quantized_rows: np.ndarray, centred: bool) -> np.ndarray:
    """int8 [G, K, O]. weight: float [G, K, O], scale: [G, O]; rows, quantized_rows: [R, G, K] of X and X'.
    centred: a bias correction follows, so that means do not count."""
    x, y = rows.astype(np.float32), quantized_rows.astype(np.float32)
    if centred:
        x, y = x - x.mean(0), y - y.mean(0)
    x, y = np.ascontiguousarray(x.transpose(1, 0, 2)), np.ascontiguousarray(y.transpose(1, 0, 2))
    turned = y.transpose(0, 2, 1)
    gram, excess = product(turned, y), product(turned, y - x)
    ridge = _RIDGE * np.diagonal(gram, axis1=1, axis2=2).sum(1) / gram.shape[1] + 1e-12
    gram = (gram + ridge[:, None, None] * np.eye(gram.shape[1])).astype(np.float32)
    step = scale[:, None, :].astype(np.float32)
    ratio = weight / step
    low = np.clip(np.floor(ratio), -127, 127).astype(np.float32)
    high = np.clip(np.ceil(ratio), -127, 127).astype(np.float32)
    q = np.clip(np.rint(ratio), -127, 127).astype(np.float32)
    gradient = (product(gram, q * step - weight) + product(excess, weight)).astype(np.float32)
    for _ in range(_SWEEPS):
        if not _sweep(q, low, high, step[:, 0], gram, gradient):
            break
    return q.astype(np.int8)


def _sweep(q, low, high, step, gram, gradient):
    """One pass over the taps of all channels; whether anything moved. q and gradient change in place."""
    moved = False
    for k in range(q.shape[1]):
        other = np.where(q[:, k] == high[:, k], low[:, k], high[:, k])
        change = (other - q[:, k]) * step
        better = 2 * change * gradient[:, k] + change * change * gram[:, k, k][:, None] < 0
        if not better.any():
            continue
        moved = True
        change = np.where(better, change, 0)
        q[:, k] = np.where(better, other, q[:, k])
        columns = np.flatnonzero(better.any(0))
        gradient[:, :, columns] += gram[:, :, k][:, :, None] * change[:, None, columns]
    return moved
