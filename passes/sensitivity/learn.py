"""What the repairs learn from samples: weight roundings and bias corrections of every layer, from rows of its input."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..annotate.graph import Graph
from ..calibrate.qparams import dequantize, quantize
from ..ops import attrs_of
from ..repair.correct_biases import bias_delta
from ..repair.round_weights import round_layer
from ..repair.rows import as_matrix, from_matrix, places, rows_at
from ..repair.weights import Layer, dequantized, layers_of, quantized_layer
from .configuration import Configuration, Sites
from .simulator import Simulator
from .taps import batches

ROWS = 2048  # of every layer's input
SAMPLES = 256  # that they come from
_CHUNK_BYTES = 1 << 26


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
    inputs = {index: graph.nodes[index].inputs[0] for index in chosen}
    taps = tuple(dict.fromkeys(x.name for x in inputs.values() if x in graph.producer))
    simulator = Simulator(model, (), {}, taps=taps, threads=threads, libraries=libraries)
    few = {name: array[:SAMPLES] for name, array in samples.items()}
    answer = {}
    for chunk in _chunks(chosen, layers):
        rows = _rows(model, simulator, graph, layers, inputs, chunk, few)
        for index in chunk:
            answer[index] = _learn_layer(layers[index], configuration, index, rows.pop(index), _groups(graph.nodes[index]), rounding, biases)
    return answer


def learning(sites: Sites, module) -> dict[int, Layer]:
    """The layers that learn: those with int8 weights and an int8 input. sites: of a recipe that leaves no operator in float by name."""
    layers = layers_of(module)
    return {index: layers[index] for index in sites.weights if (index, 0) in sites.operands}


def _learn_layer(layer, configuration, index, rows, groups, rounding, biases):
    qparams = configuration.operands[index, 0]
    quantized_rows = dequantize(quantize(rows, qparams), qparams)
    axis = configuration.weights[index]
    q, scales = quantized_layer(layer, axis, qparams.scale)
    matrix = as_matrix(layer.weight, groups)
    if rounding:
        per_output = np.broadcast_to(scales, (layer.weight.shape[layer.axis],)).reshape(groups, -1)
        q = from_matrix(round_layer(matrix, per_output, rows, quantized_rows, centred=biases), layer.weight.shape)
    delta = bias_delta(matrix, as_matrix(dequantized(q, scales, axis), groups), rows, quantized_rows)
    return Learnt(q, delta)


def _rows(model, simulator, graph, layers, inputs, chunk, samples):
    """{layer: rows of its input in fp32}, float32 [R, G, K]."""
    feeds = list(batches(model, samples))
    rows = {index: [] for index in chunk}
    for number, feed in enumerate(feeds):
        found = simulator.run_taps(feed)
        for index in chunk:
            value = found[inputs[index].name] if inputs[index].name in found else feed[inputs[index].name]
            attrs = attrs_of(graph.nodes[index].value) if layers[index].is_conv else None
            kernel = layers[index].weight.shape[2:]
            where = places(value.shape, -(-ROWS // len(feeds)), attrs, kernel, np.random.default_rng([number, index]))
            rows[index].append(rows_at(value, where, attrs, kernel, _groups(graph.nodes[index])))
    return {index: np.concatenate(parts) for index, parts in rows.items()}


def _groups(node):
    return attrs_of(node.value).get("groups", 1) if node.op == "relax.nn.conv2d" else 1


def _chunks(indices, layers):
    """Groups of layers whose rows fit the memory."""
    chunk, used = [], 0
    for index in indices:
        weight = layers[index].weight
        needed = 2 * ROWS * 4 * (weight.size // weight.shape[layers[index].axis] if weight.ndim == 2 or weight.shape[1] > 1 else weight.size)
        if chunk and used + needed > _CHUNK_BYTES:
            yield chunk
            chunk, used = [], 0
        chunk.append(index)
        used += needed
    if chunk:
        yield chunk
