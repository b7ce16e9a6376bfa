"""Tensors with some of their elements replaced, or combined with others, by index. But for sums of rows no kernel
writes by index: every element of the result looks up what becomes of it, so no index can write outside of its tensor.
Indices: indices.py.

    known indices:     without op   r = [data, updates][table], the table known: of several updates of a place the last
                       with op      for every k: r = r op [updates, neutral][table of every place's update number k]
    run-time indices:  meets[r, u] = (index[u] == r);  without op the last update that meets r, or data
                       with op      r op reduce_u(where(meets, update, neutral))
                       sums of rows octet.scatter_add, whose kernel skips what is outside
"""

import math
from typing import TYPE_CHECKING

import numpy as np
from tvm import relax

from ....targets.errors import UnsupportedModelError
from ...ops import call, shape_of
from .indices import in_range, known_in_range, row_numbers

if TYPE_CHECKING:
    from ..node import OnnxNode

R = relax.op
_MOST_PAIRS = 1 << 26  # At most so many elements are compared with indices that are known at run time only.
_MOST_ROUNDS = 64
_COMBINE = {"add": R.add, "mul": R.multiply, "max": R.maximum, "min": R.minimum}
_REDUCE = {"add": R.sum, "mul": R.prod, "max": R.max, "min": R.min}


def scatter_nd(node: "OnnxNode") -> relax.Call:
    """ScatterND as a scatter of rows: data [D1, .., Dk, rest], indices [.., k], updates [.., rest] are taken for D1 *
    .. * Dk rows."""
    shape, depth = node.shape(0), node.shape(1)[-1]
    rest, kind = shape[depth:], _reduction(node)
    extents, strides = shape[:depth], [math.prod(shape[k + 1 : depth]) for k in range(depth)]
    rows, count = math.prod(extents), math.prod(node.shape(1)[:-1])
    data = node.emit(R.reshape(node.inputs[0], [rows, *rest]), "rows")
    updates = node.emit(R.reshape(node.inputs[2], [count, *rest]), "updates")
    if node.arrays[1] is not None:
        numbers = sum(
            known_in_range(node.arrays[1][..., k], extent) * stride
            for k, (extent, stride) in enumerate(zip(extents, strides))
        )
        found = _known(node, data, updates, np.asarray(numbers).reshape(-1), kind)
    else:
        numbers = node.emit(R.reshape(row_numbers(node, extents), [1, count]), "numbers")
        found = _at_run_time(node, data, updates, numbers, kind, 0, math.prod(rest))
    return R.reshape(found, shape)


def scatter_elements(node: "OnnxNode") -> relax.Expr:
    """ScatterElements along one axis; indices and updates may be shorter on every axis."""
    shape, places, kind = node.shape(0), node.shape(1), _reduction(node)
    axis = node.axis(0)
    if node.arrays[1] is not None:
        where = list(np.indices(places))
        where[axis] = known_in_range(node.arrays[1], shape[axis])
        numbers = np.ravel_multi_index(where, shape).reshape(-1)
        data, updates = (
            node.emit(R.reshape(node.inputs[i], [-1 if not size else size]), name)
            for i, size, name in ((0, math.prod(shape), "flat"), (2, math.prod(places), "updates"))
        )
        return R.reshape(_known(node, data, updates, numbers, kind), shape)
    inside = [axis_ for axis_ in range(len(shape)) if axis_ != axis and places[axis_] != shape[axis_]]
    if not inside and (one := _one_per_row(node, axis)) is not None:
        return _whole_rows(node.with_input(1, one), axis, kind)
    data = node.inputs[0]
    if inside:
        data = node.emit(R.strided_slice(data, inside, [0] * len(inside), [places[i] for i in inside]), "reached")
    order = [i for i in range(len(shape)) if i != axis] + [axis]
    lanes = math.prod(places) // places[axis]
    rows = [
        node.emit(R.reshape(node.emit(R.permute_dims(each, order), f"turned{i}"), [lanes, extent]), f"lanes{i}")
        for i, (each, extent) in enumerate(
            ((data, shape[axis]), (in_range(node, 1, shape[axis]), places[axis]), (node.inputs[2], places[axis]))
        )
    ]
    updated = _at_run_time(node, rows[0], rows[2], rows[1], kind, 1, 1)
    updated = node.emit(R.reshape(updated, [*(places[i] for i in order[:-1]), shape[axis]]), "apart")
    updated = node.emit(R.permute_dims(updated, [order.index(i) for i in range(len(shape))]), "back")
    return _inside(node, updated, places, shape, inside)


def _one_per_row(node: "OnnxNode", axis: int) -> relax.Expr | None:
    """The indices [count], one per place of the axis, of which Expand made those of whole rows; None where it did
    not."""
    maker, read = node.maker(1)
    if maker is None or maker.op_type != "Expand":
        return None
    count = node.shape(1)[axis]
    shape = [1] * (len(node.shape(1)) - len(shape_of(read))) + list(shape_of(read))
    one = all(extent == 1 for i, extent in enumerate(shape) if i != axis) and shape[axis] == count
    return node.emit(R.reshape(read, [1, count]), "row") if one else None


def _whole_rows(node: "OnnxNode", axis: int, kind: str) -> relax.Expr:
    """Of indices [1, count], each for a whole row."""
    shape, count = node.shape(0), node.shape(1)[1]
    others = [i for i in range(len(shape)) if i != axis]
    lanes = math.prod(shape) // shape[axis]
    numbers = in_range(node, 1, shape[axis])
    data, updates = (
        node.emit(
            R.reshape(node.emit(R.permute_dims(node.inputs[i], [axis, *others]), name), [extent, lanes]), f"{name}2"
        )
        for i, name, extent in ((0, "turned", shape[axis]), (2, "updates", count))
    )
    found = node.emit(
        R.reshape(
            _at_run_time(node, data, updates, numbers, kind, 0, lanes), [shape[axis], *(shape[i] for i in others)]
        ),
        "apart",
    )
    return R.permute_dims(found, [[axis, *others].index(i) for i in range(len(shape))])


def tensor_scatter(node: "OnnxNode") -> relax.Expr:
    """Rows of a cache [batch, .., places, ..] from a place per sample on (0 where none is given) are those of an
    update; circular: beyond the last place begins the first."""
    shape, update = node.shape(0), node.shape(1)
    axis, rank = node.axis(-2), len(shape)
    wide = [1 if i else shape[0] for i in range(rank)]
    first = (
        node.emit(R.reshape(node.inputs[2], wide), "first")
        if node.has(2)
        else relax.const(np.zeros(wide, "int64"), "int64")
    )
    places = np.arange(shape[axis]).reshape([-1 if i == axis else 1 for i in range(rank)])
    zero, last, extent = (relax.const(np.int64(value), "int64") for value in (0, update[axis] - 1, shape[axis]))
    row = node.emit(R.subtract(relax.const(places, "int64"), first), "row")
    if node.text("mode", "linear") == "circular":
        row = node.emit(
            R.where(node.emit(R.less(row, zero), "around"), node.emit(R.add(row, extent), "wrapped"), row), "counted"
        )
    from_update = node.emit(
        R.logical_and(node.emit(R.greater_equal(row, zero), "behind"), node.emit(R.less_equal(row, last), "before")),
        "inside",
    )
    row = node.emit(R.minimum(node.emit(R.maximum(row, zero), "low"), last), "within")
    reached = [extent if i == axis else n for i, (n, extent) in enumerate(zip(update, shape))]
    rows = node.emit(R.gather_elements(node.inputs[1], node.emit(R.broadcast_to(row, reached), "rows"), axis), "taken")
    return R.where(from_update, rows, node.inputs[0])


def _inside(node: "OnnxNode", updated: relax.Expr, places: list[int], shape: list[int], axes: list[int]) -> relax.Expr:
    """`updated` in place of the first elements of data on `axes`; the rest of data behind it, one axis after the
    other."""
    extents = [places[i] if i in axes else extent for i, extent in enumerate(shape)]
    for axis in axes:
        others = [i for i in range(len(shape)) if i != axis and extents[i] != shape[i]]
        begin, end = [extents[axis], *[0] * len(others)], [shape[axis], *(extents[i] for i in others)]
        behind = node.emit(R.strided_slice(node.inputs[0], [axis, *others], begin, end), f"behind{axis}")
        updated = node.emit(R.concat([updated, behind], axis), f"joined{axis}")
        extents[axis] = shape[axis]
    return updated


def put(node: "OnnxNode", data: relax.Expr, updates: relax.Expr, position: int) -> relax.Expr:
    """data [rows] with the updates [count] at the places that input `position` of the node says, known or not, in any
    shape."""
    rows, count = int(data.ty.shape.values[0]), int(updates.ty.shape.values[0])
    if node.arrays[position] is not None:
        return _known(node, data, updates, known_in_range(node.arrays[position], rows).reshape(-1), "none")
    numbers = node.emit(R.reshape(in_range(node, position, rows), [1, count]), "numbers")
    return _at_run_time(node, data, updates, numbers, "none", 0, 1)


def _known(node: "OnnxNode", data: relax.Expr, updates: relax.Expr, numbers: np.ndarray, kind: str) -> relax.Expr:
    """data [rows, ...], updates [count, ...], numbers [count]: the rows that the updates go to, known."""
    rows, rounds = int(data.ty.shape.values[0]), _rounds(numbers)
    if kind == "none":
        table = np.arange(rows)
        table[numbers] = rows + np.arange(numbers.size)  # Of several updates of a row the last one stays.
        return node.emit(
            R.take(node.emit(R.concat([data, updates], 0), "both"), relax.const(table, "int64"), 0, mode="clip")
        )
    if len(rounds) > _MOST_ROUNDS:
        raise UnsupportedModelError(
            f"combines {len(rounds)} updates in one place; at most {_MOST_ROUNDS} are supported"
        )
    row = [1, *shape_of(data)[1:]]
    neutral = relax.const(np.broadcast_to(_neutral(node, kind), row).copy(), node.dtype(0))
    both = node.emit(R.concat([updates, neutral], 0), "neutral_last")
    for k, chosen in enumerate(rounds):
        table = np.full(rows, numbers.size)
        table[numbers[chosen]] = chosen
        update = node.emit(R.take(both, relax.const(table, "int64"), 0, mode="clip"), f"round{k}")
        data = node.emit(_COMBINE[kind](data, update), f"combined{k}")
    return data


def _rounds(numbers: np.ndarray) -> list[np.ndarray]:
    """Positions of updates: the first of every row, the second ones, ..."""
    seen: dict[int, int] = {}
    rounds: list[list[int]] = []
    for position, number in enumerate(numbers.tolist()):
        nth = seen[number] = seen.get(number, -1) + 1
        if nth == len(rounds):
            rounds.append([])
        rounds[nth].append(position)
    return [np.array(each) for each in rounds]


def _at_run_time(
    node: "OnnxNode", data: relax.Expr, updates: relax.Expr, numbers: relax.Expr, kind: str, axis: int, width: int
) -> relax.Var:
    """Of the extents [rows, ..] and [count, ..] behind `axis` lanes; numbers [lanes or 1, count]. width: elements per
    row."""
    rows, count, dtype = int(data.ty.shape.values[axis]), int(updates.ty.shape.values[axis]), str(numbers.ty.dtype)
    lanes = int(data.ty.shape.values[0]) if axis else 1
    if kind == "add" and not axis and node.dtype(0) == "float32" and width:
        return _sums_of_rows(node, data, updates, numbers, (rows, count, width))
    if lanes * rows * count * (width if kind != "none" else 1) > _MOST_PAIRS:
        raise UnsupportedModelError(
            f"writes {count} updates to places among {rows} that are known at run time only, which is not done for so "
            "many; export it with constant indices"
        )
    lane = [lanes] if axis else []
    places = relax.const(np.arange(rows).reshape([1] * len(lane) + [rows, 1]), dtype)
    meets = node.emit(R.equal(node.emit(R.reshape(numbers, [*lane, 1, count]), "spread"), places), "meets")
    if kind == "none":
        order = relax.const(np.arange(count).reshape([1] * len(lane) + [1, count]), "int64")
        last = node.emit(R.max(node.emit(R.where(meets, order, relax.const(-1, "int64")), "candidates"), [-1]), "last")
        known = node.emit(R.maximum(last, relax.const(0, "int64")), "taken")
        update = node.emit(
            R.gather_elements(updates, known, 1) if axis else R.take(updates, known, 0, mode="clip"), "update"
        )
        kept = node.emit(R.less(last, relax.const(0, "int64")), "kept")
        kept = kept if axis else node.emit(R.reshape(kept, [rows] + [1] * (len(data.ty.shape.values) - 1)), "kept_rows")
        return node.emit(R.where(kept, data, update))
    rest = [] if axis else list(shape_of(updates)[1:])
    meets = node.emit(R.reshape(meets, [*lane, rows, count] + [1] * len(rest)), "meets_rows")
    spread = node.emit(R.reshape(updates, [*lane, 1, count, *rest]), "updates_spread")
    masked = node.emit(R.where(meets, spread, relax.const(_neutral(node, kind), node.dtype(0))), "masked")
    return node.emit(_COMBINE[kind](data, node.emit(_REDUCE[kind](masked, [len(lane) + 1]), "update")))


def _sums_of_rows(
    node: "OnnxNode", data: relax.Expr, updates: relax.Expr, numbers: relax.Expr, extents: tuple[int, int, int]
) -> relax.Var:
    rows, count, width = extents
    operands = [
        node.emit(R.reshape(each, shape), name)
        for each, shape, name in (
            (data, [rows, width], "data_rows"),
            (updates, [count, width], "update_rows"),
            (numbers, [count], "row_numbers"),
        )
    ]
    return node.emit(R.reshape(node.emit(call("octet.scatter_add", operands), "sums"), shape_of(data)))


def _neutral(node: "OnnxNode", kind: str) -> np.ndarray:
    dtype = np.dtype(node.dtype(0))
    if kind in ("add", "mul"):
        return np.asarray(kind == "mul", dtype)
    low, high = (-np.inf, np.inf) if dtype.kind == "f" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    return np.asarray(low if kind == "max" else high, dtype)


def _reduction(node: "OnnxNode") -> str:
    kind = node.text("reduction", "none")
    if kind != "none" and node.dtype(0) == "bool":
        raise UnsupportedModelError("combines truth values; export it without reduction")
    return kind


CONVERTERS = {
    "ScatterND": scatter_nd,
    "ScatterElements": scatter_elements,
    "Scatter": scatter_elements,
    "TensorScatter": tensor_scatter,
}
