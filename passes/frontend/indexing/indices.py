"""Look-ups by index. No index reads outside of its tensor: negative ones count from the end, as in ONNX; beyond that a
known index is refused, and one that is known at run time only is taken to the nearest end."""

from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from tvm import relax

from ....targets.errors import UnsupportedModelError

if TYPE_CHECKING:
    from ..node import OnnxNode


def known_in_range(indices: np.ndarray, extent: int) -> np.ndarray:
    """Known indices, counted from the start. Raises UnsupportedModelError for one outside of [-extent, extent)."""
    outside = indices[(indices < -extent) | (indices >= extent)]
    if outside.size:
        raise UnsupportedModelError(
            f"reads index {outside.reshape(-1)[0]} of an axis of extent {extent}; export it with indices inside"
        )
    return np.where(indices < 0, indices + extent, indices)


def in_range(node: "OnnxNode", position: int, extent: int) -> relax.Expr:
    """Input `position` of a node as indices in [0, extent)."""
    if node.arrays[position] is not None:
        known = known_in_range(node.arrays[position], extent)
        return relax.const(known, str(known.dtype))
    indices, dtype = node.inputs[position], node.dtype(position)
    size, zero, last = (relax.const(np.asarray(value, dtype), dtype) for value in (extent, 0, extent - 1))
    negative = node.emit(relax.op.less(indices, zero), "negative")
    wrapped = node.emit(relax.op.where(negative, node.emit(relax.op.add(indices, size), "wrapped"), indices), "counted")
    return node.emit(relax.op.maximum(node.emit(relax.op.minimum(wrapped, last), "below"), zero), "indices")


def gather(node: "OnnxNode") -> relax.Expr:
    """One known index is a slice; otherwise R.take."""
    data, known = node.inputs[0], node.arrays[1]
    shape = node.shape(0)
    axis = node.axis(0)
    if known is None or known.size != 1 or known.ndim > 1:
        return relax.op.take(data, in_range(node, 1, shape[axis]), axis, mode="clip")
    start = int(known_in_range(known, shape[axis]).reshape(-1)[0])
    picked = node.emit(relax.op.strided_slice(data, [axis], [start], [start + 1]), "slice")
    return picked if known.ndim else relax.op.reshape(picked, shape[:axis] + shape[axis + 1 :])


def gather_elements(node: "OnnxNode") -> relax.Call:
    """GatherElements becomes R.gather_elements, its indices counted from the beginning."""
    axis = node.axis(0)
    return relax.op.gather_elements(node.inputs[0], in_range(node, 1, node.shape(0)[axis]), axis)


def gather_nd(node: "OnnxNode") -> relax.Call:
    """R.take of rows: data [B.., D1, .., Dk, rest], indices [B.., .., k] -> [B.., .., rest] with the row number b * D1
    * .. * Dk + i1 * D2 * .. * Dk + ... + ik."""
    shape, places, batch = node.shape(0), node.shape(1), int(node.attrs.get("batch_dims", 0))
    depth, dtype = places[-1], node.dtype(1)
    looked, rest = shape[batch : batch + depth], shape[batch + depth :]
    rows = row_numbers(node, looked)
    if batch:
        first = np.arange(prod(shape[:batch]), dtype=dtype) * prod(looked)
        rows = node.emit(
            relax.op.add(rows, relax.const(first.reshape(*shape[:batch], *[1] * (len(places) - 1 - batch)), dtype)),
            "batch",
        )
    data = node.emit(relax.op.reshape(node.inputs[0], [prod(shape[: batch + depth]), *rest]), "flat")
    return relax.op.take(data, rows, 0, mode="clip")


def row_numbers(node: "OnnxNode", extents: list[int]) -> relax.Expr:
    """Input 1 [.., k], components of indices into a tensor of these k extents, as numbers of its elements [..]."""
    rows: Any = None
    for k, extent in enumerate(extents):
        row = _component(node, k, extent, prod(extents[k + 1 :]))
        rows = row if rows is None else node.emit(relax.op.add(rows, row), f"rows{k}")
    return rows


def _component(node: "OnnxNode", k: int, extent: int, stride: int) -> relax.Expr:
    """Component k of the indices of a GatherND or ScatterND, times how many rows it steps over."""
    shape, dtype = node.shape(1), node.dtype(1)
    if node.arrays[1] is not None:
        return relax.const(np.asarray(known_in_range(node.arrays[1][..., k], extent) * stride, dtype), dtype)
    part = node.emit(relax.op.strided_slice(node.inputs[1], [len(shape) - 1], [k], [k + 1]), f"part{k}")
    part = node.emit(relax.op.reshape(part, shape[:-1]), f"column{k}")
    column = replace(node.with_input(1, part), name=f"{node.name}.axis{k}")
    return node.emit(
        relax.op.multiply(in_range(column, 1, extent), relax.const(np.asarray(stride, dtype), dtype)), f"offset{k}"
    )


def roi_align(node: "OnnxNode") -> "OnnxNode":
    """TVM's operator, with the numbers of the images in range. Its maximum is taken over other terms than ONNX's. TVM's
    importer takes half a pixel off the corners before it scales them, ONNX behind."""
    if node.text("mode", "avg") != "avg":
        raise UnsupportedModelError(
            "takes the maximum of a region's samples, which is not imported; export it with mode 'avg'"
        )
    node = node.with_input(2, in_range(node, 2, node.shape(0)[0]))
    scale = float(node.attrs.get("spatial_scale", 1.0))
    if (
        scale == 1.0
        or node.text("coordinate_transformation_mode", "half_pixel" if node.opset >= 16 else "output_half_pixel")
        != "half_pixel"
    ):
        return node
    return node.with_input(
        1, node.emit(relax.op.add(node.inputs[1], relax.const(np.float32(0.5 - 0.5 / scale))), "corners")
    )


def max_roi_pool(node: "OnnxNode") -> "OnnxNode":
    """TVM's operator on regions (image, x1, y1, x2, y2) with the numbers of the images in range."""
    count, rois = node.shape(0)[0], node.inputs[1]
    image = node.emit(relax.op.strided_slice(rois, [1], [0], [1]), "image")
    image = node.emit(relax.op.clip(image, 0.0, float(count - 1)), "image_in_range")
    corners = node.emit(relax.op.strided_slice(rois, [1], [1], [5]), "corners")
    return node.with_input(1, node.emit(relax.op.concat(relax.Tuple([image, corners]), 1), "regions"))


def one_hot(node: "OnnxNode") -> relax.Call:
    """values[1] where an index is the position along a new axis, values[0] elsewhere: everywhere for indices outside of
    [-depth, depth)."""
    depth, indices = int(node.array(1, "depth").reshape(-1)[0]), node.inputs[0]
    rank = len(node.shape(0)) + 1
    axis = node.attrs.get("axis", -1) % rank
    dtype = node.dtype(0) if "int" in node.dtype(0) else "int64"
    if dtype != node.dtype(0):
        indices = node.emit(relax.op.astype(indices, dtype), "indices")
    zero, size = (relax.const(np.asarray(value, dtype), dtype) for value in (0, depth))
    wrapped = node.emit(
        relax.op.where(
            node.emit(relax.op.less(indices, zero), "negative"),
            node.emit(relax.op.add(indices, size), "wrapped"),
            indices,
        ),
        "counted",
    )
    places = np.arange(depth, dtype=dtype).reshape([depth if i == axis else 1 for i in range(rank)])
    hit = node.emit(
        relax.op.equal(node.emit(relax.op.expand_dims(wrapped, axis), "deep"), relax.const(places, dtype)), "hit"
    )
    if node.arrays[2] is not None:
        off, on = (relax.const(np.asarray(value), str(value.dtype)) for value in node.arrays[2].reshape(-1))
    else:
        off, on = (
            node.emit(
                relax.op.squeeze(
                    node.emit(relax.op.strided_slice(node.inputs[2], [0], [i], [i + 1]), f"value{i}"), [0]
                ),
                f"lone{i}",
            )
            for i in (0, 1)
        )
    return relax.op.where(hit, on, off)


CONVERTERS = {
    "OneHot": one_hot,
    "RoiAlign": roi_align,
    "MaxRoiPool": max_roi_pool,
    "Gather": gather,
    "GatherElements": gather_elements,
    "GatherND": gather_nd,
}
