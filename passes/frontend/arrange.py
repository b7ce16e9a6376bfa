"""Moving data: operators that TVM's importer would make opaque (Pad, Tile) or general (Gather of one index), or gets wrong (uneven Split)."""

import numpy as np
import onnx
from tvm import relax

from ...targets.errors import UnsupportedModelError

_PAD_MODES = {"constant": "constant", "reflect": "reflect", "edge": "replicate", "wrap": "circular"}


def identity(node):
    """Identity, and Dropout at inference, whose mask keeps everything."""
    if node.op == "Dropout" and node.outputs > 1:
        return relax.Tuple([node.inputs[0], relax.const(np.ones(node.shape(0), "bool"))])
    return node.inputs[0]


def pad(node):
    """R.nn.pad; `axes` (opset 18) is spread to all axes, negative pads cut."""
    pads, axes = node.array(1, "pads").tolist(), node.array(3, "axes")
    value = node.array(2, "fill value")
    fill = 0.0 if value is None or not value.size else float(value.reshape(-1)[0])
    rank = len(node.shape(0))
    axes = range(rank) if axes is None else [int(axis) % rank for axis in axes.reshape(-1)]
    width = np.zeros((rank, 2), "int64")
    for i, axis in enumerate(axes):
        width[axis] = pads[i], pads[i + len(pads) // 2]
    x, cut = node.inputs[0], np.maximum(-width, 0)
    if cut.any():
        ends = [extent - int(c) for extent, c in zip(node.shape(0), cut[:, 1])]
        x = node.emit(relax.op.strided_slice(x, list(range(rank)), [int(c) for c in cut[:, 0]], ends), "cut")
    width = np.maximum(width, 0)
    return relax.op.nn.pad(x, [int(w) for w in width.reshape(-1)], _PAD_MODES[node.text("mode", "constant")], fill) if width.any() else x


def tile(node):
    """R.tile with known repeats."""
    return relax.op.tile(node.inputs[0], [int(r) for r in node.array(1, "repeats")])


def gather(node):
    """One known index is a slice; otherwise R.take, with negative indices (which ONNX allows) brought into range."""
    data, indices, known = node.inputs[0], node.inputs[1], node.arrays[1]
    shape = node.shape(0)
    axis = node.attrs.get("axis", 0) % len(shape)
    if known is None:
        extent, zero = (relax.const(value, node.dtype(1)) for value in (shape[axis], 0))
        negative = node.emit(relax.op.less(indices, zero), "negative")
        indices = node.emit(relax.op.where(negative, node.emit(relax.op.add(indices, extent), "wrapped"), indices), "indices")
        return relax.op.take(data, indices, axis, mode="clip")  # an index out of range must not read foreign memory
    known = np.where(known < 0, known + shape[axis], known)
    if known.size != 1 or known.ndim > 1:
        return relax.op.take(data, relax.const(known, str(known.dtype)), axis, mode="clip")
    start = int(known.reshape(-1)[0])
    picked = node.emit(relax.op.strided_slice(data, [axis], [start], [start + 1]), "slice")
    return picked if known.ndim else relax.op.reshape(picked, shape[:axis] + shape[axis + 1 :])


def gather_elements(node):
    """R.gather_elements, negative indices brought into range."""
    axis = node.attrs.get("axis", 0) % len(node.shape(0))
    extent, zero = (relax.const(value, node.dtype(1)) for value in (node.shape(0)[axis], 0))
    negative = node.emit(relax.op.less(node.inputs[1], zero), "negative")
    wrapped = node.emit(relax.op.add(node.inputs[1], extent), "wrapped")
    return relax.op.gather_elements(node.inputs[0], node.emit(relax.op.where(negative, wrapped, node.inputs[1]), "indices"), axis)


def split(node):
    """R.split at explicit places; parts of unequal size when `num_outputs` (opset 18) does not divide the extent."""
    shape = node.shape(0)
    axis = node.attrs.get("axis", 0) % len(shape)
    sizes = node.attrs.get("split") if node.opset < 13 else node.array(1, "sizes")
    if sizes is None:
        part = -(-shape[axis] // node.outputs)
        sizes = [part] * (node.outputs - 1) + [shape[axis] - part * (node.outputs - 1)]
    places = [int(p) for p in np.cumsum(sizes)]
    if node.outputs == 1:
        return node.inputs[0]
    parts = node.emit(relax.op.split(node.inputs[0], places[:-1], axis), "parts")
    return relax.Tuple([relax.TupleGetItem(parts, i) for i in range(node.outputs)])


def cast(node):
    """R.astype, where the type changes."""
    dtype = node.dtype(1) if node.op == "CastLike" else str(onnx.helper.tensor_dtype_to_np_dtype(node.attrs["to"]))
    return node.inputs[0] if dtype == node.dtype(0) else relax.op.astype(node.inputs[0], dtype)


def einsum(node):
    """R.einsum."""
    return relax.op.einsum(relax.Tuple(node.inputs), node.text("equation", "").replace(" ", ""))


CONVERTERS = {"Cast": cast, "CastLike": cast, "Einsum": einsum, "Identity": identity, "Dropout": identity, "Pad": pad, "Tile": tile, "Gather": gather, "GatherElements": gather_elements, "Split": split}
