"""Streams: tensors that must share a scale per channel, with the constants that can absorb it.

    a stream t with factors f: t' = t * f  <=>  every constant that makes t is multiplied by f along its channel axis,
                                                every constant that reads t is divided by f along its channel axis

The function stays what it was wherever everything between makers and readers commutes with a positive factor per channel (relu, leaky relu,
pooling, sums of tensors of one stream). Runs on the canonical fp32 graph."""

from dataclasses import dataclass, field

from tvm import relax

from ..annotate.graph import Graph, is_constant, is_float32, shape_of
from ..ops import attrs_of, is_op

_HOMOGENEOUS = ("relax.nn.relu", "relax.nn.leakyrelu", "relax.nn.max_pool2d", "relax.nn.avg_pool2d")


@dataclass(frozen=True)
class Site:
    """A constant operand: index of the binding, position among the call's arguments, axis of the constant that is the channel."""

    index: int
    position: int
    axis: int


@dataclass
class Stream:
    """channels: how many. makers, offsets: constants to multiply (weights; biases). readers: constants to divide. tensors: names of the
    tensors that the readers read."""

    channels: int
    makers: list[Site] = field(default_factory=list)
    offsets: list[Site] = field(default_factory=list)
    readers: list[Site] = field(default_factory=list)
    tensors: list[str] = field(default_factory=list)
    blocked: bool = False


def streams_of(mod) -> list[Stream]:
    """All streams with a maker and a reader, in program order of their first maker."""
    return [s for s in _Finder(Graph(mod)).find() if s.makers and s.readers and not s.blocked]


class _Finder:
    def __init__(self, graph):
        self.graph, self.parent = graph, {}
        self.notes = []  # (variable, kind, Site or None)

    def find(self):
        for param in self.graph.params:
            self._block(param)
        for node in self.graph.nodes:
            if not self._known(node):
                for x in (node.var, *node.inputs):
                    self._block(x)
        for x in self.graph.outputs:
            self._block(x)
        streams = {}
        for var, kind, site in self.notes:
            stream = streams.setdefault(self._root(var), Stream(_channels(var)))
            if kind == "blocked" or stream.channels != _channels(var):
                stream.blocked = True
            else:
                getattr(stream, kind).append(site)
        for var in self.parent:
            if self._root(var) in streams and any(self._reads(node, var) for node in self.graph.users.get(var, ())):
                streams[self._root(var)].tensors.append(var.name)
        return streams.values()

    def _reads(self, node, var):
        return is_op(node.value, "relax.nn.conv2d", "relax.matmul", "relax.multiply") and node.inputs[0].same_as(var)

    def _known(self, node):
        """Notes what a binding does to its channels; False if it does not commute with factors."""
        value, x = node.value, node.inputs[0] if node.inputs else None
        if x is None or is_constant(x) or not is_float32(node.var):
            return False
        if is_op(value, "relax.nn.conv2d") and is_constant(node.inputs[1]):
            return self._conv(node)
        if is_op(value, "relax.matmul") and is_constant(node.inputs[1]) and len(shape_of(node.inputs[1])) == 2 and len(shape_of(x)) < 4:
            return self._layer(node, Site(node.index, 1, 0), Site(node.index, 1, 1))
        if is_op(value, "relax.nn.layer_norm") and _normalizes_last(node):
            self._block(x)
            self._note(node.var, "makers", Site(node.index, 1, 0))
            self._note(node.var, "offsets", Site(node.index, 2, 0))
            return True
        if is_op(value, "relax.add"):
            return self._add(node)
        if is_op(value, "relax.multiply") and is_constant(node.inputs[1]):
            axis = constant_per_channel(node.inputs[1], node.var)
            return axis is not None and self._layer(node, Site(node.index, 1, axis), Site(node.index, 1, axis))
        if is_op(value, *_HOMOGENEOUS) or self._keeps_channels(node):
            self._join(x, node.var)
            return True
        return False

    def _conv(self, node):
        groups, weight = attrs_of(node.value)["groups"], shape_of(node.inputs[1])
        if groups != 1 and not (weight[1] == 1 and groups == weight[0]):
            return False
        return self._layer(node, Site(node.index, 1, 1 if groups == 1 else 0), Site(node.index, 1, 0))

    def _layer(self, node, reader, maker):
        self._note(node.inputs[0], "readers", reader)
        self._note(node.var, "makers", maker)
        return True

    def _add(self, node):
        constants = [x for x in node.inputs if is_constant(x)]
        if not constants:
            a, b = node.inputs
            if not shape_of(a) == shape_of(b) == shape_of(node.var):
                return False
            self._join(a, b)
            self._join(a, node.var)
            return True
        axis = constant_per_channel(constants[0], node.var)
        if len(constants) != 1 or axis is None:
            return False
        x = next(x for x in node.inputs if not is_constant(x))
        self._join(x, node.var)
        position = next(i for i, arg in enumerate(node.value.args) if is_constant(arg))
        self._note(node.var, "offsets", Site(node.index, position, axis))
        return True

    def _keeps_channels(self, node):
        """A mean over the pixels, zero padding of pixels, and a reshape that drops pixels of extent 1."""
        x, out = shape_of(node.inputs[0]), shape_of(node.var)
        if is_op(node.value, "relax.mean"):
            attrs = attrs_of(node.value)
            return len(x) == 4 and sorted(a % 4 for a in attrs["axis"] or ()) == [2, 3]
        if is_op(node.value, "relax.nn.pad"):
            attrs = attrs_of(node.value)
            return attrs["pad_mode"] == "constant" and attrs["pad_value"] == 0 and len(x) == 4 and x[1] == out[1]
        return is_op(node.value, "relax.reshape") and len(x) == 4 and x[2:] == (1, 1) and out in ((x[0], x[1]), (x[0], x[1], 1, 1))

    def _note(self, var, kind, site=None):
        self._root(var)
        self.notes.append((var, kind, site))

    def _block(self, expr):
        if isinstance(expr, relax.Var) and isinstance(expr.ty, relax.TensorType) and is_float32(expr):
            self._note(expr, "blocked")

    def _root(self, var):
        while self.parent.setdefault(var, var) is not var:
            var = self.parent[var]
        return var

    def _join(self, a, b):
        a, b = self._root(a), self._root(b)
        if a is not b:
            self.parent[b] = a


def _channels(var):
    shape = shape_of(var)
    return 0 if not shape else shape[1] if len(shape) == 4 else shape[-1]


def _normalizes_last(node):
    axes = attrs_of(node.value)["axes"]
    rank = len(shape_of(node.var))
    return [a % rank for a in axes] == [rank - 1] and rank < 4 and is_constant(node.inputs[1]) and is_constant(node.inputs[2])


def constant_per_channel(constant, out) -> int | None:
    """The constant's channel axis if it has exactly one value per channel of the tensor `out`, else None."""
    shape, result = shape_of(constant), shape_of(out)
    channel = 1 if len(result) == 4 else len(result) - 1
    axis = channel - (len(result) - len(shape))
    if axis < 0 or any(extent != (result[channel] if i == axis else 1) for i, extent in enumerate(shape)):
        return None
    return axis
