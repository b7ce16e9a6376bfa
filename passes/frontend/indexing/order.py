"""Running sums and the largest or smallest k of an axis: TVM's importer turns reversed sums into opaque TIR and refuses
unsorted TopK. Choices whose number is known at run time only have room for all (operators/selection.py)."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from tvm import relax

from ....targets.errors import UnsupportedModelError
from ... import ops

if TYPE_CHECKING:
    import tvm

    from ..node import OnnxNode

_MOST_ROWS = 1 << 20


def cumsum(node: "OnnxNode") -> relax.Expr:
    """R.cumsum, between two flips if reversed."""
    return _running(node, lambda x, axis, exclusive: relax.op.cumsum(x, axis, exclusive=exclusive))


def cumprod(node: "OnnxNode") -> relax.Expr:
    """Running products: of twice as many elements in every round. Between two flips if reversed; from the second
    element on if exclusive."""
    shape, dtype = node.shape(0), node.dtype(0)

    def products(x: relax.Expr, axis: int, exclusive: bool) -> relax.Expr:
        extent = shape[axis]

        def ones(count: int) -> "tvm.ir.GenericConst":
            return relax.const(np.ones([count if i == axis else n for i, n in enumerate(shape)], dtype), dtype)

        def behind(values: relax.Expr, count: int, name: str) -> relax.Var:
            """The values `count` places later, behind ones."""
            first = node.emit(relax.op.strided_slice(values, [axis], [0], [extent - count]), f"{name}.first")
            return node.emit(relax.op.concat([ones(count), first], axis), name)

        if exclusive:
            x = behind(x, 1, "later") if extent > 1 else ones(1)
        for count in (1 << i for i in range((extent - 1).bit_length())):
            x = node.emit(relax.op.multiply(x, behind(x, count, f"behind{count}")), f"product{count}")
        return x

    return _running(node, products)


def _running(node: "OnnxNode", totals: Callable[[relax.Expr, int, bool], relax.Expr]) -> relax.Expr:
    """totals(x, axis, exclusive), of the axis from its end on if reversed."""
    axis = node.axis_at(node.array(1, "axis").reshape(-1)[0])
    x, reverse, exclusive = node.inputs[0], bool(node.attrs.get("reverse", 0)), bool(node.attrs.get("exclusive", 0))
    found = totals(node.emit(relax.op.flip(x, axis), "reversed") if reverse else x, axis, exclusive)
    if not reverse:
        return found
    return relax.op.flip(node.emit(found, "sum") if isinstance(found, relax.Call) else found, axis)


def topk(node: "OnnxNode") -> relax.Expr:
    """R.topk for the values and another for the indices; results that may come in any order come sorted."""
    axis = node.axis(-1)
    extent, k = node.shape(0)[axis], int(node.array(1, "k").reshape(-1)[0])
    if not 0 < k <= extent:
        raise UnsupportedModelError(f"takes the top {k} of {extent} elements; export it with k from 1 to {extent}")
    largest = bool(node.attrs.get("largest", 1))
    kinds = ("values", "indices")[: node.outputs]
    found = [node.emit(relax.op.topk(node.inputs[0], k, axis, kind, largest, "int64"), kind) for kind in kinds]
    return relax.Tuple(found) if node.outputs > 1 else found[0]


def hardmax(node: "OnnxNode") -> relax.Expr:
    """1 where an axis has its first largest element, 0 elsewhere; before opset 13 of the axes from `axis` on, taken as
    one."""
    shape, axis = node.shape(0), node.axis(-1 if node.opset >= 13 else 1)
    x, extents = node.inputs[0], shape
    if node.opset < 13 and axis != len(shape) - 1:
        extents = [int(np.prod(shape[:axis])), int(np.prod(shape[axis:]))]
        x, axis = node.emit(relax.op.reshape(x, extents), "flat"), 1
    place = node.emit(relax.op.argmax(x, axis, keepdims=True), "place")
    places = np.arange(extents[axis]).reshape([-1 if i == axis else 1 for i in range(len(extents))])
    here = node.emit(relax.op.equal(place, relax.const(places, "int64")), "here")
    found = relax.op.astype(here, node.dtype(0))
    return found if extents == shape else relax.op.reshape(node.emit(found, "rows"), shape)


def reverse_sequence(node: "OnnxNode") -> relax.Call:
    """The first elements of every sequence backwards, as many as it is long: R.gather_elements at the places that they
    come from."""
    shape, time, batch = node.shape(0), node.attrs.get("time_axis", 0), node.attrs.get("batch_axis", 1)
    steps = np.arange(shape[time]).reshape([-1 if axis == time else 1 for axis in range(len(shape))])
    wide = [shape[batch] if axis == batch else 1 for axis in range(len(shape))]
    if node.arrays[1] is not None:
        lengths = node.arrays[1].reshape(wide)
        places = relax.const(
            np.broadcast_to(np.where(steps < lengths, lengths - 1 - steps, steps), shape).astype("int64")
        )
        return relax.op.gather_elements(node.inputs[0], places, time)
    lengths, steps = node.emit(relax.op.reshape(node.inputs[1], wide), "lengths"), relax.const(steps, "int64")
    last = node.emit(relax.op.subtract(lengths, relax.const(np.int64(1), "int64")), "last")
    backwards = node.emit(relax.op.subtract(last, steps), "backwards")
    turned = node.emit(relax.op.where(node.emit(relax.op.less(steps, lengths), "inside"), backwards, steps), "turned")
    within = node.emit(relax.op.maximum(turned, relax.const(np.int64(0), "int64")), "within")
    within = node.emit(relax.op.minimum(within, relax.const(np.int64(shape[time] - 1), "int64")), "places")
    return relax.op.gather_elements(node.inputs[0], node.emit(relax.op.broadcast_to(within, shape), "everywhere"), time)


def non_max_suppression(node: "OnnxNode") -> relax.Expr:
    """NonMaxSuppression as octet.non_max_suppression; without a limit ONNX keeps no box."""
    most, overlap, threshold = (
        node.array(i, what) for i, what in ((2, "number of boxes"), (3, "overlap"), (4, "threshold"))
    )
    most = min(int(most.reshape(-1)[0]), node.shape(0)[1]) if most is not None else 0
    if most <= 0:
        return relax.const(np.zeros((0, 3), "int64"), "int64")
    if (rows := most * node.shape(1)[0] * node.shape(1)[1]) > _MOST_ROWS:
        raise UnsupportedModelError(
            f"may keep {rows} boxes, more than {_MOST_ROWS}; export it with fewer boxes per class"
        )
    overlap = 0.0 if overlap is None else float(np.float32(overlap.reshape(-1)[0]))
    if not 0 <= overlap <= 1:
        raise UnsupportedModelError(f"has the overlap {overlap:g}, which is not from 0 to 1; export it again")
    attrs = {} if threshold is None else {"threshold": float(np.float32(threshold.reshape(-1)[0]))}
    return ops.call(
        "octet.non_max_suppression",
        list(node.inputs[:2]),
        most=most,
        overlap=overlap,
        centers=int(node.attrs.get("center_point_box", 0)),
        **attrs,
    )


def nonzero(node: "OnnxNode") -> relax.Call:
    """NonZero becomes octet.nonzero of the condition that a value is not 0."""
    x, dtype = node.inputs[0], node.dtype(0)
    if not node.shape(0):
        raise UnsupportedModelError("looks for places in a scalar; export it with a tensor")
    if (count := int(np.prod(node.shape(0)))) > _MOST_ROWS:
        raise UnsupportedModelError(f"may find {count} places, more than {_MOST_ROWS}; export it on a smaller tensor")
    return ops.call(
        "octet.nonzero",
        [x if dtype == "bool" else node.emit(relax.op.not_equal(x, relax.const(np.zeros((), dtype), dtype)), "meant")],
    )


def compress(node: "OnnxNode") -> relax.Call:
    """The elements along an axis (of all, in a row) whose condition holds: octet.nonzero, then R.take."""
    condition, shape = node.inputs[1], node.shape(0)
    axis = node.attrs.get("axis")
    data = (
        node.inputs[0]
        if axis is not None
        else node.emit(relax.op.reshape(node.inputs[0], [int(np.prod(shape))]), "flat")
    )
    axis = 0 if axis is None else axis % len(shape)
    places = node.emit(ops.call("octet.nonzero", [condition]), "places")
    places = node.emit(relax.op.reshape(places, node.shape(1)), "row")
    places = node.emit(relax.op.maximum(places, relax.const(np.int64(0), "int64")), "inside")
    return relax.op.take(data, places, axis, mode="clip")


CONVERTERS = {
    "CumSum": cumsum,
    "CumProd": cumprod,
    "TopK": topk,
    "Hardmax": hardmax,
    "ReverseSequence": reverse_sequence,
    "NonMaxSuppression": non_max_suppression,
    "NonZero": nonzero,
    "Compress": compress,
}
