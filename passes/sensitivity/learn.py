"""What the repairs learn from samples of every layer: the rounding of its weights, from rows of its input."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from ...targets.seams import Attrs
from ..annotate.graph import Graph, Node
from ..calibrate.qparams import QParams, codes_of
from ..lower.batch.masked import padding_mask
from ..ops import attrs_of, shape_of
from ..repair.moments import Moments, most_waiting
from ..repair.round_weights import round_layer
from ..repair.sampled_rows import as_matrix, from_matrix, rows_at, sampled_places
from ..repair.weights import Layer, layers_of, quantized_layer
from .configuration import Configuration, Sites
from .simulator import Simulator
from .taps import batches

if TYPE_CHECKING:
    import tvm

    from ...targets.stored_array import Array
    from ..frontend.model import Model
    from .libraries import Libraries

SAMPLES = 256  # Rows come from so many samples.
ROWS = 2048  # Every layer's input gives so many rows; more take longer and bring next to nothing (docs/accuracy.md).
_FEW_RUNS, _MOST_LAYERS = 32, 0.9  # So few runs are enough where this part of the layers find their rows in them.
_CHUNK_BYTES = 1 << 29


ReadingKey = int | tuple[str, QParams]  # An int is a layer of its own; a pair is what linear layers read.


@dataclass(frozen=True)
class Learnt:
    """What data say about one layer.

    weight: int8 in the layer's shape. bias_delta: float32 [channels]."""

    weight: np.ndarray
    bias_delta: np.ndarray


def round_layers(
    model: "Model",
    configuration: Configuration,
    samples: "Mapping[str, Array]",
    *,
    centred: bool,
    threads: int | None = None,
    libraries: "Libraries | None" = None,
) -> dict[int, np.ndarray]:
    """{layer: int8 weights, rounded by data} of the layers that are int8. centred: a correction of biases follows.

    Each layer learns by itself: its rows come from the fp32 network and are quantised as its input is. (What earlier
    layers get wrong is mostly noise: fitting it makes the outputs worse, see docs/accuracy.md.)"""
    graph, layers = Graph(model.module), layers_of(model.module)
    chosen = [
        index for index in configuration.weights if (index, 0) in configuration.operands and not layers[index].sums
    ]
    readings = {
        index: _Reading(graph.nodes[index], layers[index], configuration.operands[index, 0]) for index in chosen
    }
    taps = tuple(dict.fromkeys(one.tensor for one in readings.values() if one.node.inputs[0] in graph.producer))
    simulator = Simulator(model, (), {}, taps=taps, threads=threads, libraries=libraries)
    feeds = list(batches(model, {name: array[:SAMPLES] for name, array in samples.items()}))
    feeds = (
        [feeds[i] for i in np.unique(np.linspace(0, len(feeds) - 1, _runs(readings.values())).astype(int))]
        if feeds
        else feeds
    )
    mask = (padding_mask(model.module) or ("",))[0]
    answer: dict[int, np.ndarray] = {}
    for chunk in _chunks(readings):
        moments = _moments(simulator, feeds, {index: readings[index] for index in chunk}, mask)
        for key in list(moments):
            members = {index: layers[index] for index in chunk if readings[index].key == key}
            answer |= _learn_layers(members, configuration, moments.pop(key), centred)
    return answer


def _runs(readings: "Iterable[Any]") -> int:
    """How many runs rows come from."""
    places = sorted(one.places for one in readings)
    return max(_FEW_RUNS, -(-ROWS // places[int((1 - _MOST_LAYERS) * len(places))])) if places else _FEW_RUNS


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
    def attrs(self) -> Attrs | None:
        return attrs_of(self.node.value) if self.layer.is_conv else None

    @property
    def groups(self) -> int:
        return 1 if self.attrs is None else self.attrs.get("groups", 1)

    @property
    def taps(self) -> int:
        """K: how many inputs one result of the layer adds up."""
        return self.layer.weight.size // self.layer.weight.shape[self.layer.axis]

    @property
    def key(self) -> ReadingKey:
        """A key that is equal for linear layers that read the same: queries, keys and values."""
        return self.node.index if self.layer.is_conv else (self.tensor, self.qparams)

    def rows(self, value: np.ndarray, count: int, kept: np.ndarray | None, rng: np.random.Generator) -> np.ndarray:
        """float32 [R, G, K], about `count` of one run. kept: as `places` takes it, where the graph's mask says what is
        padding."""
        kernel = self.layer.weight.shape[2:]
        return rows_at(
            value, sampled_places(value.shape, count, self.attrs, kernel, rng, kept), self.attrs, kernel, self.groups
        )

    @property
    def places(self) -> int:
        """How many rows of the layer's input one run has."""
        shape = shape_of(self.node.var)
        return prod(shape[:-1]) if not self.layer.is_conv else shape[0] * prod(shape[2:])

    @property
    def bytes(self) -> int:
        """Bytes of the reading's moments, of which the codes of rows wait until they are squared."""
        return self.groups * self.taps * (16 + min(most_waiting(self.taps), 2 * ROWS))


def learning(sites: Sites, module: "tvm.IRModule") -> dict[int, Layer]:
    """The layers that learn: those with int8 weights and an int8 input, but for sums. sites: of a recipe that leaves no
    operator in float by name."""
    layers = layers_of(module)
    return {index: layers[index] for index in sites.weights if (index, 0) in sites.operands and not layers[index].sums}


def _learn_layers(
    layers: dict[int, Layer], configuration: Configuration, moments: Moments, centred: bool
) -> dict[int, np.ndarray]:
    """Of layers that read the same, as if they were one."""
    groups = moments.codes.shape[0]
    matrices = [as_matrix(layer.weight, groups) for layer in layers.values()]
    scales = [
        quantized_layer(layer, configuration.weights[index], configuration.operands[index, 0].scale)[1]
        for index, layer in layers.items()
    ]
    per_output = [
        np.broadcast_to(scale, (layer.weight.shape[layer.axis],)).reshape(groups, -1)
        for scale, layer in zip(scales, layers.values(), strict=True)
    ]
    whole = round_layer(np.concatenate(matrices, 2), np.concatenate(per_output, 1), moments, centred=centred)
    found = np.split(whole, np.cumsum([matrix.shape[2] for matrix in matrices])[:-1], 2)
    return {
        index: from_matrix(matrix, layer.weight.shape)
        for matrix, (index, layer) in zip(found, layers.items(), strict=True)
    }


def _moments(
    simulator: Simulator, feeds: list[dict[str, np.ndarray]], readings: dict[int, _Reading], mask: str
) -> dict[ReadingKey, Moments]:
    """{key of a reading: Moments}. mask: name of the input that is 0 for padding, "" for none."""
    unique = {one.key: one for one in readings.values()}
    sums = {
        key: Moments(one.groups, one.taps, one.qparams.scale, one.qparams.zero_point) for key, one in unique.items()
    }
    for number, feed in enumerate(feeds):
        found, kept = simulator.run_taps(feed), np.asarray(feed[mask]).reshape(-1) != 0 if mask else None
        for key, one in unique.items():
            value = found[one.tensor] if one.tensor in found else feed[one.tensor]
            rows = one.rows(value, -(-ROWS // len(feeds)), kept, np.random.default_rng([number, one.node.index]))
            sums[key].add(codes_of(rows, one.qparams))
    return sums


def _chunks(readings: dict[int, _Reading]) -> Iterator[list[int]]:
    """Groups of layers whose moments fit the memory."""
    chunk: list[int] = []
    held: dict[ReadingKey, int] = {}
    for index, one in readings.items():
        own = {one.key: one.bytes}
        if chunk and sum((held | own).values()) > _CHUNK_BYTES:
            yield chunk
            chunk, held = [], {}
        chunk.append(index)
        held |= own
    if chunk:
        yield chunk
