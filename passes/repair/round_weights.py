"""Weight rounding learnt from data (the objective of AdaRound, Nagel et al., arXiv 2004.10568, equation 20), layer by
layer:

    q = argmin over q in {floor(w / s), ceil(w / s)} of || X' w - X' (s q) ||^2

X': rows of the layer's input, quantised. Solved by coordinate descent on their Gram matrix from rounding to nearest, so
the layer's error on these rows never grows. The same rows give the same integers on every machine (moments.py,
exact_product.py). What X' itself is wrong by is not fitted: a few rows that a range clips are most of it, and the
others paid for them. The fp32 weights stay as they are: the rounding is applied to the hub."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from tvm import IRModule

from ..annotate.graph import Graph, is_constant
from ..constants import array_of
from ..ops import is_op
from .exact_product import exact_product
from .moments import Moments
from .weights import Operand, products, replace_constants

_SWEEPS = 4
_FEW = 0.03  # A sweep that moves a smaller part of the weights is the last one.
# What a moved weight changes goes to its window's other taps behind each block of so many, to all others behind each
# window.
_BLOCK, _WINDOW = 32, 256
_STEPS = 16  # A matrix's steps have so many bits: 2^16 * _WINDOW = 2^24, up to where float32 is exact.
_RIDGE = 0.01  # This part of the mean diagonal is added, so that weights are rounded to nearest where data say nothing.


@dataclass(frozen=True)
class RoundWeights:
    """The pass that puts weights in place that data rounded.

    rounded: {layer: int8 weights}, as `round_layer` makes them; a layer is counted over the convolutions and matmuls
    of the graph, as names may change on the way. Runs on the hub; layers whose weights are float there stay."""

    rounded: Mapping[int, np.ndarray]

    def __call__(self, mod: IRModule) -> IRModule:
        """The hub with the rounded weights in their layers; scales stay."""
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
    """The weights of a layer rounded by data, int8 [G, K, O]. weight: float [G, K, O], scale: [G, O]; moments: of the
    rows of X'. centred: a bias correction follows, so that means do not count."""
    gram = moments.gram(centred)
    places = np.arange(gram.shape[1])
    gram[:, places, places] += _RIDGE * np.diagonal(gram, axis1=1, axis2=2).mean(1)[:, None] + 1e-12
    ratio = weight / scale[:, None, :].astype(np.float32)
    low, high, nearest = (
        np.clip(rounded(ratio), -127, 127).astype(np.float32) for rounded in (np.floor, np.ceil, np.rint)
    )
    steps, unit = _on_grid(gram)
    gradient = (exact_product(gram, nearest - ratio) / unit).astype(np.float32)
    del gram
    # The way goes from where a weight is to the other side: 1, -1, or 0 where there is none.
    way = np.where(nearest == low, high - low, low - high)
    q = nearest + _moves(way, steps, gradient)
    return q.astype(np.int8)


def _on_grid(gram: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(the matrices in whole steps of a unit by row, float32; the units). So few steps that a product of _WINDOW of
    them with -1, 0 and 1 is exact in float32."""
    largest = np.abs(gram).max(axis=2, keepdims=True)
    unit = np.exp2(np.ceil(np.log2(np.maximum(largest, 1e-300))) - _STEPS)
    return np.rint(gram / unit).astype(np.float32), unit


def _moves(way: np.ndarray, steps: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """What coordinate descent adds to the weights: -1, 0 or 1. way, gradient: [G, K, O], both change in place. In units
    of a weight's step and a row's unit a weight that goes its way v changes the error by 2 v gradient + v v steps[k,
    k]."""
    began = way.copy()
    for _ in range(_SWEEPS):
        if _sweep(way, steps, gradient) < _FEW * way.size:
            break
    return np.where(way == began, 0, began)


def _sweep(way: np.ndarray, steps: np.ndarray, gradient: np.ndarray) -> int:
    """One pass over the taps of all channels; how many weights moved. What a window of taps does to those outside of it
    is one product at its end, what a block does to the window's rest another."""
    moved, taps = 0, way.shape[1]
    for window in range(0, taps, _WINDOW):
        inside = slice(window, min(window + _WINDOW, taps))
        here, changes = gradient[:, inside].copy(), np.zeros_like(way[:, inside])
        for block in range(0, here.shape[1], _BLOCK):
            last = min(block + _BLOCK, here.shape[1])
            for k in range(block, last):
                tap = window + k
                go = way[:, tap]
                better = go * here[:, k] < -0.5 * np.abs(go) * steps[:, tap, tap][:, None]
                if not better.any():
                    continue
                changes[:, k] = change = go * better
                way[:, tap] = go - 2 * change
                if k + 1 < last:
                    here[:, k + 1 : last] += steps[:, window + k + 1 : window + last, tap][:, :, None] * change[:, None]
            if last < here.shape[1]:
                here[:, last:] += (
                    steps[:, window + last : inside.stop, window + block : window + last] @ changes[:, block:last]
                )
        if count := int(np.count_nonzero(changes)):
            moved += count
            gradient += steps[:, :, inside] @ changes
    return moved
