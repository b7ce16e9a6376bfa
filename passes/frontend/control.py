"""If, Loop, Scan and sequences: bodies are written out in the graph around them, as often as they run.

If    of a known condition is its branch; of one known at run time, both branches and a choice between their results,
      where the branches are small.
Loop  of a known number of trips, and Scan, are their body once per trip.
A sequence is a list of values; its length is known at every place.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from tvm import relax

from ...targets.errors import UnsupportedModelError
from ...targets.seams import Attrs
from ..ops import shape_of

if TYPE_CHECKING:
    from .importer import OnnxImporter

_MOST_TRIPS, _MOST_NODES = 1000, 20_000  # A loop is unrolled up to so many trips and nodes.
_SMALL_BRANCH = 64  # A branch of so few nodes is computed although it may not be taken.


class Sequence(list[Any]):
    """The elements of an ONNX sequence: known values and expressions."""


def if_(graph: "OnnxImporter", node: onnx.NodeProto, attrs: Attrs) -> list[relax.Var]:
    """The values of the branch that is taken, or a choice between those of both."""
    condition = graph.value(node.input[0])
    if isinstance(condition, np.ndarray):
        return _branch(graph, attrs["then_branch" if condition.reshape(-1)[0] else "else_branch"])
    branches = [attrs["then_branch"], attrs["else_branch"]]
    if max(_nodes_in(branch) for branch in branches) > _SMALL_BRANCH:
        raise UnsupportedModelError(_follows(graph, "branches on a value", condition, "with the branch that is taken"))
    taken, other = ([graph.expression(value) for value in _branch(graph, branch)] for branch in branches)
    flag = graph.emit(relax.op.reshape(graph.operand(node.input[0]), []), node, "condition")
    if any(shape_of(a) != shape_of(b) or a.ty.dtype != b.ty.dtype for a, b in zip(taken, other)):
        raise UnsupportedModelError(
            _follows(graph, "has results of different shapes, by a value", condition, "with the branch that is taken")
        )
    return [graph.emit(relax.op.where(flag, a, b), node) for a, b in zip(taken, other)]


def _follows(graph: "OnnxImporter", what: str, value: Any, remedy: str) -> str:
    """A refusal's reason: `what` is decided by a value that follows from the network's inputs. It names those, and the
    option that makes a constant of one that holds a single number."""
    names = {param.name: graph.extents(param) for param in _inputs_behind(graph, value)}
    single = [name for name, extents in names.items() if np.prod(extents) == 1]
    listed = f", computed from {', '.join(map(repr, names))}" if names else ""
    fix = f"add {' '.join(f'--fix {name}=VALUE' for name in single)}, or " if len(single) == len(names) > 0 else ""
    return f"{what} that is known only at run time{listed}; {fix}export it {remedy}"


def _inputs_behind(graph: "OnnxImporter", value: Any) -> list[relax.Var]:
    """The inputs of the network that an expression is computed from."""
    found: list[relax.Var] = []
    seen, waiting = set(), [value] if isinstance(value, relax.Expr) else []
    while waiting:
        for var in relax.analysis.free_vars(waiting.pop()):
            if var in seen:
                continue
            seen.add(var)
            made = graph.bb.lookup_binding(var)
            (found if made is None else waiting).append(var if made is None else made)
    return found


def _branch(graph: "OnnxImporter", body: onnx.GraphProto) -> list[relax.Var]:
    return graph.run_body(body, [])


def loop(graph: "OnnxImporter", node: onnx.NodeProto, attrs: Attrs) -> list[Any]:
    """The results of a Loop: [carried values..., results of all trips...]."""
    body, (trips, going, *carried) = attrs["body"], [graph.value(name) if name else None for name in node.input]
    most = _trips(graph, trips, body)
    kept: list[list[Any]] = [[] for _ in range(len(body.output) - 1 - len(carried))]
    going = True if going is None else _flag(graph, going)
    trip = 0
    while going and trip < most:
        if trip == min(_MOST_TRIPS, _MOST_NODES // max(_nodes_in(body), 1)):
            raise UnsupportedModelError(f"runs its {_nodes_in(body)} nodes more than {trip} times; export it for fewer")
        going, *results = graph.run_body(body, [np.array(trip, "int64"), np.array(True), *carried])
        carried, going, trip = results[: len(carried)], _flag(graph, going), trip + 1
        for found, value in zip(kept, results[len(carried) :]):
            found.append(value)
    if trip == 0 and any(kept_name for kept_name in node.output[len(carried) :]):
        raise UnsupportedModelError("never runs, so its results have no shape; export the network without it")
    return [*carried, *(_stacked(graph, node, values, 0) for values in kept)]


def _trips(graph: "OnnxImporter", trips: np.ndarray | relax.Var | None, body: onnx.GraphProto) -> int:
    if trips is None:
        return _MOST_TRIPS + 1
    if not isinstance(trips, np.ndarray):
        raise UnsupportedModelError(_follows(graph, "runs as often as a value", trips, "with a fixed number of runs"))
    return int(trips.reshape(-1)[0])


def _flag(graph: "OnnxImporter", value: Any) -> bool:
    if not isinstance(value, np.ndarray):
        raise UnsupportedModelError(_follows(graph, "ends on a value", value, "with a fixed number of runs"))
    return bool(value.reshape(-1)[0])


def scan(graph: "OnnxImporter", node: onnx.NodeProto, attrs: Attrs) -> list[Any]:
    """The results of a Scan: [states..., results of all steps...] (opset 9 and later)."""
    body, count = attrs["body"], int(attrs["num_scan_inputs"])
    values = [graph.value(name) for name in node.input]
    states, scanned = values[: len(values) - count], values[len(values) - count :]
    axes, back = attrs.get("scan_input_axes", (0,) * count), attrs.get("scan_input_directions", (0,) * count)
    kept: list[list[Any]] = [[] for _ in range(len(body.output) - len(states))]
    out_axes, out_back = (
        attrs.get("scan_output_axes", (0,) * len(kept)),
        attrs.get("scan_output_directions", (0,) * len(kept)),
    )
    axes = [axis % len(graph.extents(value)) for axis, value in zip(axes, scanned)]
    steps = graph.extents(scanned[0])[axes[0]]
    if steps > min(_MOST_TRIPS, _MOST_NODES // max(_nodes_in(body), 1)):
        raise UnsupportedModelError(f"runs its {_nodes_in(body)} nodes {steps} times; export it for fewer steps")
    for step in range(steps):
        now = [
            _slice(graph, node, value, axis, steps - 1 - step if reverse else step)
            for value, axis, reverse in zip(scanned, axes, back)
        ]
        results = graph.run_body(body, [*states, *now])
        states = results[: len(states)]
        for found, value in zip(kept, results[len(states) :]):
            found.append(value)
    kept = [values[::-1] if reverse else values for values, reverse in zip(kept, out_back)]
    return [*states, *(_stacked(graph, node, values, axis) for values, axis in zip(kept, out_axes))]


def _slice(graph: "OnnxImporter", node: onnx.NodeProto, value: relax.Expr, axis: int, index: int) -> relax.Var:
    if isinstance(value, np.ndarray):
        return np.take(value, index, axis)
    one = graph.emit(relax.op.strided_slice(value, [axis], [index], [index + 1]), node, "slice")
    shape = graph.extents(value)
    return graph.emit(relax.op.reshape(one, [*shape[:axis], *shape[axis + 1 :]]), node, "step")


def _stacked(graph: "OnnxImporter", node: onnx.NodeProto, values: Any, axis: int) -> Any:
    """All trips' results along a new axis."""
    if all(isinstance(value, np.ndarray) for value in values):
        return np.stack(values, axis)
    axis %= len(graph.extents(values[0])) + 1
    parts = [graph.emit(relax.op.expand_dims(graph.expression(value), axis), node, "result") for value in values]
    return parts[0] if len(parts) == 1 else graph.emit(relax.op.concat(parts, axis), node)


def _nodes_in(body: onnx.GraphProto) -> int:
    """Nodes of a body and of the bodies in it."""
    inner = [
        attribute.g for node in body.node for attribute in node.attribute if attribute.type == onnx.AttributeProto.GRAPH
    ]
    return len(body.node) + sum(map(_nodes_in, inner))


def _sequence(graph: "OnnxImporter", node: onnx.NodeProto, attrs: Attrs) -> list[Sequence]:
    return [Sequence(graph.value(name) for name in node.input)]


def _insert(graph: "OnnxImporter", node: onnx.NodeProto, attrs: Attrs) -> list[Sequence]:
    found = Sequence(graph.value(node.input[0]))
    found.insert(_position(graph, node, 2, len(found), len(found) + 1), graph.value(node.input[1]))
    return [found]


def _erase(graph: "OnnxImporter", node: onnx.NodeProto, attrs: Attrs) -> list[Sequence]:
    found = Sequence(graph.value(node.input[0]))
    del found[_position(graph, node, 1, len(found) - 1, len(found))]
    return [found]


def _at(graph: "OnnxImporter", node: onnx.NodeProto, attrs: Attrs) -> list[relax.Var]:
    found = graph.value(node.input[0])
    return [found[_position(graph, node, 1, 0, len(found))]]


def _position(graph: "OnnxImporter", node: onnx.NodeProto, index: int, default: int, end: int) -> int:
    """The position in a sequence that an input says. default: where the position is left out. end: it must lie in front
    of, counted from the start."""
    if len(node.input) <= index or not node.input[index]:
        return default
    known = graph.known(node.input[index])
    if known is None:
        raise UnsupportedModelError("computes its position at run time; export it with a constant one")
    place = int(known.reshape(-1)[0])
    if not -end <= place < end:
        raise UnsupportedModelError(
            f"takes position {place} where a sequence has {end}; export it with a position inside"
        )
    return place


def _length(graph: "OnnxImporter", node: onnx.NodeProto, attrs: Attrs) -> list[np.ndarray]:
    return [np.array(len(graph.value(node.input[0])), "int64")]


def _concat(graph: "OnnxImporter", node: onnx.NodeProto, attrs: Attrs) -> list[Any]:
    values = graph.value(node.input[0])
    if not values:
        raise UnsupportedModelError("joins an empty sequence; export it with at least one tensor")
    if attrs.get("new_axis", 0):
        return [_stacked(graph, node, values, attrs["axis"])]
    if all(isinstance(value, np.ndarray) for value in values):
        return [np.concatenate(values, attrs["axis"])]
    return [graph.emit(relax.op.concat([graph.expression(value) for value in values], attrs["axis"]), node)]


def _split(graph: "OnnxImporter", node: onnx.NodeProto, attrs: Attrs) -> list[Sequence]:
    value = graph.value(node.input[0])
    shape = graph.extents(value)
    axis = attrs.get("axis", 0) % len(shape)
    sizes = graph.known(node.input[1]) if len(node.input) > 1 and node.input[1] else np.array(1)
    if sizes is None:
        raise UnsupportedModelError("computes its sizes at run time; export it with constant ones")
    one_by_one = len(node.input) < 2 or not node.input[1]
    if sizes.ndim == 0:
        sizes = [min(int(sizes), shape[axis] - start) for start in range(0, shape[axis], int(sizes))]
    parts, start = Sequence(), 0
    for size in map(int, sizes):
        if one_by_one and not attrs.get("keepdims", 1):
            parts.append(_slice(graph, node, value, axis, start))
        elif isinstance(value, np.ndarray):
            parts.append(np.take(value, range(start, start + size), axis))
        else:
            parts.append(graph.emit(relax.op.strided_slice(value, [axis], [start], [start + size]), node, "part"))
        start += size
    return [parts]


CONVERTERS = {
    "If": if_,
    "Loop": loop,
    "Scan": scan,
    "SequenceConstruct": _sequence,
    "SequenceEmpty": _sequence,
    "SequenceInsert": _insert,
    "SequenceErase": _erase,
    "SequenceAt": _at,
    "SequenceLength": _length,
    "ConcatFromSequence": _concat,
    "SplitToSequence": _split,
}
