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
from .configuration import FLOAT, Configuration
from .simulator import Simulator
from .taps import batches
from .weights import dequantized, layers_of, quantized_layer

ROWS = 2048  # of every layer's input
SAMPLES = 256  # that they come from
_CHUNK_BYTES = 1 << 28


@dataclass(frozen=True)
class Learnt:
    """weight: int8 in the layer's shape. bias_delta: float32 [channels]."""

    weight: np.ndarray
    bias_delta: np.ndarray


def learn(model, configuration: Configuration, quantized, samples: Mapping[str, np.ndarray], *, rounding: bool, biases: bool, threads=None, libraries=None):
    """{layer: Learnt} of the layers with int8 weights. quantized: {layer: (weight, bias)} of the plain configuration."""
    graph, layers = Graph(model.module), layers_of(model.module)
    chosen = [index for index in configuration.weights if (index, 0) in configuration.operands]
    inputs = {index: graph.nodes[index].inputs[0] for index in chosen}
    taps = tuple(dict.fromkeys(x.name for x in inputs.values() if x in graph.producer))
    simulator = Simulator(model, configuration.operands, quantized, taps=taps, threads=threads, libraries=libraries)
    few = {name: array[:SAMPLES] for name, array in samples.items()}
    answer = {}
    for chunk in _chunks(chosen, layers):
        rows = _rows(model, simulator, configuration, graph, layers, inputs, chunk, few)
        for index in chunk:
            answer[index] = _learn_layer(layers[index], configuration, index, *rows.pop(index), _groups(graph.nodes[index]), rounding, biases)
    return answer


def _learn_layer(layer, configuration, index, rows, quantized_rows, groups, rounding, biases):
    axis = configuration.weights[index]
    q, scales = quantized_layer(layer, axis, configuration.operands[index, 0].scale)
    matrix = as_matrix(layer.weight, groups)
    if rounding:
        per_output = np.broadcast_to(scales, (layer.weight.shape[layer.axis],)).reshape(groups, -1)
        q = from_matrix(round_layer(matrix, per_output, rows, quantized_rows, centred=biases), layer.weight.shape)
    delta = bias_delta(matrix, as_matrix(dequantized(q, scales, axis), groups), rows, quantized_rows)
    return Learnt(q, delta)


def _rows(model, simulator, configuration, graph, layers, inputs, chunk, samples):
    """{layer: (rows in fp32, rows in the quantised network)}, float32 [R, G, K]."""
    feeds = list(batches(model, samples))
    exact, rough = {index: [] for index in chunk}, {index: [] for index in chunk}
    for number, feed in enumerate(feeds):
        for setting, kept in ((FLOAT, exact), (configuration, rough)):
            simulator.configure(setting)
            found = simulator.run_taps(feed)
            for index in chunk:
                value = found.get(inputs[index].name, feed.get(inputs[index].name))
                if setting is not FLOAT:
                    qparams = configuration.operands[index, 0]
                    value = dequantize(quantize(value, qparams), qparams)
                attrs = attrs_of(graph.nodes[index].value) if layers[index].is_conv else None
                kernel = layers[index].weight.shape[2:]
                where = places(value.shape, -(-ROWS // len(feeds)), attrs, kernel, np.random.default_rng([number, index]))
                kept[index].append(rows_at(value, where, attrs, kernel, _groups(graph.nodes[index])))
    return {index: (np.concatenate(exact[index]), np.concatenate(rough[index])) for index in chunk}


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
