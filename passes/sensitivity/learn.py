"""What the repairs learn from samples: weight roundings and bias corrections of every layer, from rows of its input."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..annotate.graph import Graph, Node
from ..calibrate.qparams import QParams, quantize
from ..lower.batch.masked import padding_mask
from ..ops import attrs_of
from ..repair.correct_biases import bias_delta
from ..repair.moments import Moments
from ..repair.round_weights import round_layer
from ..repair.rows import as_matrix, from_matrix, places, rows_at
from ..repair.weights import Layer, dequantized, layers_of, quantized_layer
from .configuration import Configuration, Sites
from .simulator import Simulator
from .taps import batches

SAMPLES = 256  # that rows come from
ROWS = 8192  # of every layer's input: from fewer than four for each of its taps it learns the rows themselves
_CHUNK_BYTES = 1 << 27


@dataclass(frozen=True)
class Learnt:
    """weight: int8 in the layer's shape. bias_delta: float32 [channels]."""

    weight: np.ndarray
    bias_delta: np.ndarray


def learn(model, configuration: Configuration, samples: Mapping[str, np.ndarray], *, rounding: bool, biases: bool, threads=None, libraries=None):
    """{layer: Learnt} of the layers with int8 weights.

    Each layer learns by itself: its rows come from the fp32 network and are quantised as its input is. (What earlier layers get wrong is mostly
    noise: fitting it made the outputs worse, by 1 to 4 dB on depthwise networks.)"""
    graph, layers = Graph(model.module), layers_of(model.module)
    chosen = [index for index in configuration.weights if (index, 0) in configuration.operands]
    readings = {index: _Reading(graph.nodes[index], layers[index], configuration.operands[index, 0]) for index in chosen}
    taps = tuple(dict.fromkeys(one.tensor for one in readings.values() if one.node.inputs[0] in graph.producer))
    simulator = Simulator(model, (), {}, taps=taps, threads=threads, libraries=libraries)
    feeds = list(batches(model, {name: array[:SAMPLES] for name, array in samples.items()}))
    mask, answer = (padding_mask(model.module) or ("",))[0], {}
    for chunk in _chunks(readings, rounding):
        moments = _moments(simulator, feeds, {index: readings[index] for index in chunk}, rounding, mask)
        for index in chunk:
            answer[index] = _learn_layer(layers[index], configuration, index, moments[readings[index].key], readings[index].groups, rounding, biases)
    return answer


@dataclass(frozen=True)
class _Reading:
    """What a layer reads of its input. qparams: of that input."""

    node: Node
    layer: Layer
    qparams: QParams

    @property
    def tensor(self) -> str:
        return self.node.inputs[0].name

    @property
    def attrs(self) -> dict | None:
        return attrs_of(self.node.value) if self.layer.is_conv else None

    @property
    def groups(self) -> int:
        return 1 if self.attrs is None else self.attrs.get("groups", 1)

    @property
    def taps(self) -> int:
        """K, those of one result."""
        return self.layer.weight.size // self.layer.weight.shape[self.layer.axis]

    @property
    def key(self):
        """Equal for linear layers that read the same: queries, keys and values."""
        return self.node.index if self.layer.is_conv else (self.tensor, self.qparams)

    def rows(self, value, count, kept, rng) -> np.ndarray:
        """float32 [R, G, K], about `count` of one run. kept: as `places` takes it, where the graph's mask says what is padding."""
        kernel = self.layer.weight.shape[2:]
        return rows_at(value, places(value.shape, count, self.attrs, kernel, rng, kept), self.attrs, kernel, self.groups)

    def bytes(self, squares: bool) -> int:
        """Of its moments."""
        return 8 * self.groups * self.taps * (2 + self.taps * squares)


def learning(sites: Sites, module) -> dict[int, Layer]:
    """The layers that learn: those with int8 weights and an int8 input. sites: of a recipe that leaves no operator in float by name."""
    layers = layers_of(module)
    return {index: layers[index] for index in sites.weights if (index, 0) in sites.operands}


def _learn_layer(layer, configuration, index, moments, groups, rounding, biases):
    axis = configuration.weights[index]
    q, scales = quantized_layer(layer, axis, configuration.operands[index, 0].scale)
    matrix = as_matrix(layer.weight, groups)
    if rounding:
        per_output = np.broadcast_to(scales, (layer.weight.shape[layer.axis],)).reshape(groups, -1)
        q = from_matrix(round_layer(matrix, per_output, moments, centred=biases), layer.weight.shape)
    return Learnt(q, bias_delta(matrix, as_matrix(dequantized(q, scales, axis), groups), moments))


def _moments(simulator, feeds, readings, squares, mask) -> dict:
    """{key of a reading: Moments}. mask: name of the input that is 0 for padding, "" for none."""
    unique = {one.key: one for one in readings.values()}
    sums = {key: Moments(one.groups, one.taps, one.qparams.scale, squares) for key, one in unique.items()}
    for number, feed in enumerate(feeds):
        found, kept = simulator.run_taps(feed), np.asarray(feed[mask]).reshape(-1) != 0 if mask else None
        for key, one in unique.items():
            value = found[one.tensor] if one.tensor in found else feed[one.tensor]
            rows = one.rows(value, -(-ROWS // len(feeds)), kept, np.random.default_rng([number, one.node.index]))
            sums[key].add(rows, quantize(rows, one.qparams).astype(np.int16) - one.qparams.zero_point)
    return sums


def _chunks(readings, squares):
    """Groups of layers whose moments fit the memory."""
    chunk, held = [], {}
    for index, one in readings.items():
        own = {one.key: one.bytes(squares)}
        if chunk and sum((held | own).values()) > _CHUNK_BYTES:
            yield chunk
            chunk, held = [], {}
        chunk.append(index)
        held |= own
    if chunk:
        yield chunk
