"""The streams of a graph: a walk over it says which elements are one channel, and which constants make or read it."""

from typing import TYPE_CHECKING, Any

import numpy as np
from tvm import relax

from ..annotate.graph import Graph, is_constant, is_float32
from ..constants import array_of
from ..operators.registry import operators
from ..ops import attrs_of, is_op, shape_of
from . import labels
from .channel_streams import ChannelStream, Site, StreamTap
from .exponents import Exponents

if TYPE_CHECKING:
    import tvm

    from ..annotate.graph import Node

_SCALARS = operators(lambda traits: traits.homogeneous and traits.elementwise == 1) | {"octet.observe"}
_WINDOWS = ("relax.nn.max_pool2d", "relax.nn.avg_pool2d", "relax.image.resize2d")
_KINDS = {
    ("maker", 1): "makers",
    ("maker", -1): "readers",
    ("offset", 1): "offsets",
    ("offset", -1): "counter_offsets",
    ("reader", 1): "readers",
    ("reader", -1): "makers",
    ("tap", 1): "taps",
    ("tap", -1): "counter_taps",
}


def streams_of(mod: "tvm.IRModule") -> list[ChannelStream]:
    """All streams with a maker and a reader, in program order of their first maker."""
    return _Finder(Graph(mod)).find()


class _Finder:
    def __init__(self, graph: Graph) -> None:
        self.graph, self.exponents = graph, Exponents()
        # Maps a variable to its label array, or to a list of them for a tuple; no factor can pass where it is missing.
        self.labels: dict[relax.Var, Any] = {}
        # A note is (kind, what tells its place, the channels along it).
        self.notes: list[tuple[str, Any, np.ndarray]] = []

    def find(self) -> list[ChannelStream]:
        for node in self.graph.nodes:
            found = self._through(node)
            if found is None:
                for x in node.inputs:
                    self._block(x)
            else:
                self.labels[node.var] = found
        for x in self.graph.outputs:
            self._block(x)
        for node in self.graph.nodes:
            self._tap(node.var)
        return self._streams()

    def _streams(self) -> list[ChannelStream]:
        """Channels with the same notes, in the same order, are one stream."""
        of_root: dict[int, list[tuple[int, int, int]]] = {}
        order: dict[Any, list[Any]] = {}
        for number, (_, _, channels) in enumerate(self.notes):
            for place, channel in enumerate(channels.tolist()):
                root, sign = self.exponents.find(channel)
                if not self.exponents.blocked(root):
                    of_root.setdefault(root, []).append((number, sign, place))
        for found in of_root.values():
            flip = next((sign for number, sign, _ in found if self.notes[number][0] == "maker"), 1)
            order.setdefault(tuple((number, sign * flip) for number, sign, _ in found), []).append(
                [place for _, _, place in found]
            )
        streams = []
        for key, places in order.items():
            stream, columns = ChannelStream(len(places)), np.array(places)
            for i, (number, sign) in enumerate(key):
                kind, make, _ = self.notes[number]
                getattr(stream, _KINDS[kind, sign]).append(make(columns[:, i]))
            if stream.makers and stream.readers:
                streams.append(stream)
        return streams

    # From here on, what an operator does to channels gives the labels of its result, or None if no factor may pass.

    def _through(self, node: "Node") -> np.ndarray | list[np.ndarray] | None:
        value, x = node.value, node.inputs[0] if node.inputs else None
        if isinstance(value, relax.TupleGetItem):
            parts = self.labels.get(value.tuple_value)
            return None if parts is None else parts[value.index]
        if x is None or is_constant(x):
            return self._add(node) if is_op(value, "relax.add") else None
        if is_op(value, "relax.nn.conv2d") and is_constant(node.inputs[1]):
            return self._conv(node)
        if is_op(value, "relax.matmul"):
            return self._linear(node) if is_constant(node.inputs[1]) else self._product(node)
        if is_op(value, "relax.nn.layer_norm"):
            return self._layer_norm(node)
        if is_op(value, "relax.add", "relax.subtract"):
            return self._add(node)
        if is_op(value, "relax.multiply"):
            return self._multiply(node)
        if is_op(value, "relax.concat"):
            return self._concat(node)
        numbers = self.labels.get(x)
        return None if numbers is None else self._moved(node, numbers)

    def _moved(self, node: "Node", numbers: np.ndarray) -> np.ndarray | list[np.ndarray] | None:
        value = node.value
        if is_op(value, *_SCALARS):
            return numbers
        if is_op(value, *_WINDOWS):
            return labels.pooled_labels(numbers)
        if is_op(value, "relax.reshape"):
            return labels.reshaped_labels(numbers, shape_of(node.inputs[0]), shape_of(node.var))
        if is_op(value, "relax.permute_dims"):
            return labels.permuted_labels(numbers, node)
        if is_op(value, "relax.mean", "relax.sum"):
            return labels.reduced_labels(numbers, node)
        if is_op(value, "relax.nn.pad"):
            return labels.padded_labels(numbers, node)
        if is_op(value, "relax.strided_slice"):
            return labels.sliced_labels(numbers, node)
        return labels.labels_of_pieces(numbers, node) if is_op(value, "relax.split") else None

    def _conv(self, node: "Node") -> np.ndarray:
        groups, weight = attrs_of(node.value)["groups"], shape_of(node.inputs[1])
        if groups == 1:
            self._read(node.inputs[0], 1, node, 1)
        elif weight[1] == 1 and groups == weight[0]:
            self._read(node.inputs[0], 1, node, 0)
        else:
            self._block(node.inputs[0])
        return self._made(node, 1, 1, 0)

    def _linear(self, node: "Node") -> np.ndarray | None:
        if len(shape_of(node.inputs[1])) != 2 or not is_float32(node.inputs[0]):
            return None
        self._read(node.inputs[0], -1, node, 0)
        return self._made(node, -1, 1, 1)

    def _product(self, node: "Node") -> np.ndarray | None:
        """Of two computed tensors: factors of the summed axis must cancel, those of the others pass."""
        a, b = (self.labels.get(x) for x in node.inputs)
        rank = len(shape_of(node.var))
        if any(numbers is not None and numbers.ndim != rank for numbers in (a, b)):
            return None
        if (
            a is not None
            and b is not None
            and a.shape[-2] == 1
            and b.shape[-1] == 1
            and a.shape[-1] > 1
            and b.shape[-2] > 1
        ):
            left, right = a[..., 0, :], b[..., :, 0]
            if left.shape == right.shape:
                self.exponents.tie(left, right, -1)
                return np.full([1] * rank, self._one())
        if a is not None and (a.shape[-1] > 1 or b is not None):
            self._block(node.inputs[0])
        if b is not None and b.shape[-2] > 1:
            return None
        return b

    def _layer_norm(self, node: "Node") -> np.ndarray | None:
        axes, rank = attrs_of(node.value)["axes"], len(shape_of(node.var))
        if [a % rank for a in axes] != [rank - 1] or not (is_constant(node.inputs[1]) and is_constant(node.inputs[2])):
            return None
        self._block(node.inputs[0])
        numbers = self._made(node, -1, 1, 0)
        self._note("offset", node, 2, 0, numbers)
        return numbers

    def _add(self, node: "Node") -> np.ndarray | None:
        constants = [x for x in node.inputs if is_constant(x)]
        if not constants:
            return self._sum(node)
        x = next((x for x in node.inputs if not is_constant(x)), None)
        numbers = self.labels.get(x) if x is not None else None
        if x is None or numbers is None or shape_of(x) != shape_of(node.var):
            return None
        axis = labels.constant_per_channel(constants[0], numbers, shape_of(node.var))
        if axis is None:
            return numbers if not array_of(constants[0]).any() else None
        position = next(i for i, arg in enumerate(node.value.args) if is_constant(arg))
        self._note("offset", node, position, axis, numbers)
        return numbers

    def _sum(self, node: "Node") -> np.ndarray | None:
        a, b = (self.labels.get(x) for x in node.inputs)
        if a is None or b is None or any(shape_of(x) != shape_of(node.var) for x in node.inputs) or a.shape != b.shape:
            return None
        self.exponents.tie(a, b, 1)
        return a

    def _multiply(self, node: "Node") -> np.ndarray | None:
        """A product. With a constant, a scalar lets factors pass, a vector absorbs them. Of two tensors: those of the
        first pass."""
        x, other = node.inputs if len(node.inputs) == 2 else (node.inputs[0], None)
        if other is None:
            return None
        numbers = self.labels.get(x)
        if not is_constant(other):
            keep, gate = (x, other) if numbers is not None and shape_of(x) == shape_of(node.var) else (other, x)
            self._block(gate)
            kept = self.labels.get(keep)
            return kept if kept is not None and shape_of(keep) == shape_of(node.var) else None
        if array_of(other).size == 1:
            return numbers
        shape = shape_of(node.var)
        channel = 1 if len(shape) == 4 else len(shape) - 1
        axis = labels.constant_along(other, shape, channel)
        if axis is None or shape_of(x) != shape:
            return None
        self._read(x, channel, node, axis)
        return self._made(node, channel, 1, axis)

    def _concat(self, node: "Node") -> np.ndarray | None:
        if any(is_constant(x) or self.labels.get(x) is None for x in node.inputs):
            return None
        axis = attrs_of(node.value)["axis"] % len(shape_of(node.var))
        return labels.joined_labels([self.labels[x] for x in node.inputs], [shape_of(x) for x in node.inputs], axis)

    # From here on, methods note where constants can take a factor.

    def _made(self, node: "Node", axis: int, position: int, constant_axis: int) -> np.ndarray:
        """A constant that gives every channel of the result a factor of its own."""
        shape = shape_of(node.var)
        numbers = labels.labels_along(self.exponents.fresh(shape[axis]), len(shape), axis)
        self._note("maker", node, position, constant_axis, numbers)
        return numbers

    def _read(self, x: relax.Expr, axis: int, node: "Node", constant_axis: int) -> None:
        """A constant of one value per channel that reads x."""
        numbers = self.labels.get(x)
        if numbers is None:
            return
        if labels.only_axis(numbers, axis) and numbers.size == shape_of(x)[axis]:
            self._note("reader", node, 1, constant_axis, numbers)
        else:
            self._block(x)

    def _note(self, kind: str, node: "Node", position: int, axis: int, numbers: np.ndarray) -> None:
        self.notes.append((kind, lambda places: Site(node.index, position, axis, places), numbers.reshape(-1)))

    def _tap(self, var: relax.Var) -> None:
        """A tensor with its channels along its channel axis that somebody reads otherwise than by passing them on
        so."""
        if not self._plain(var) or all(
            self._plain(user.var) and np.intersect1d(self.labels[user.var], self.labels[var]).size
            for user in self.graph.users.get(var, ())
        ):
            return
        self.notes.append(("tap", lambda places: StreamTap(var.name, places), self.labels[var].reshape(-1)))

    def _plain(self, var: relax.Var) -> bool:
        numbers = self.labels.get(var)
        if not isinstance(numbers, np.ndarray):
            return False
        shape = shape_of(var)
        axis = 1 if len(shape) == 4 else len(shape) - 1
        return labels.only_axis(numbers, axis) and numbers.size == shape[axis]

    def _one(self) -> int:
        """A channel with factor 1."""
        number = self.exponents.fresh(1)
        self.exponents.block(number)
        return int(number[0])

    def _block(self, expr: relax.Expr) -> None:
        numbers = self.labels.get(expr) if isinstance(expr, relax.Var) else None
        for part in numbers if isinstance(numbers, list) else [] if numbers is None else [numbers]:
            self.exponents.block(part)
