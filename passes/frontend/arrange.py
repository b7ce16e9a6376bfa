"""Moving data: operators that TVM's importer would make opaque (Pad, Tile) or gets wrong (uneven Split, empty
parts)."""

from typing import TYPE_CHECKING

import numpy as np
import onnx
from tvm import relax

from ...targets.errors import UnsupportedModelError
from .. import ops

if TYPE_CHECKING:
    import tvm

    from .node import OnnxNode

_WHOLE = {"bool", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))}
_PAD_MODES = {"constant": "constant", "reflect": "reflect", "edge": "replicate", "wrap": "circular"}


def identity(node: "OnnxNode") -> relax.Expr:
    """Identity, and Dropout at inference, whose mask keeps everything."""
    if (
        node.op == "Dropout"
        and node.has(2)
        and (node.arrays[2] is None or node.arrays[2].any())
        and (not node.has(1) or node.arrays[1] is None or node.arrays[1].any())
    ):
        raise UnsupportedModelError("drops elements at random, as in training; export the network for inference")
    if node.op == "Dropout" and node.outputs > 1:
        return relax.Tuple([node.inputs[0], relax.const(np.ones(node.shape(0), "bool"))])
    return node.inputs[0]


def pad(node: "OnnxNode") -> relax.Call:
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
    return (
        relax.op.nn.pad(x, [int(w) for w in width.reshape(-1)], _PAD_MODES[node.text("mode", "constant")], fill)
        if width.any()
        else x
    )


def tile(node: "OnnxNode") -> relax.Call:
    """Tile becomes R.tile; how often each axis is repeated must be known."""
    return relax.op.tile(node.inputs[0], [int(r) for r in node.array(1, "repeats")])


def split(node: "OnnxNode") -> relax.Tuple:
    """R.split at explicit places; parts of unequal size when `num_outputs` (opset 18) does not divide the extent."""
    shape = node.shape(0)
    axis = node.axis(0)
    sizes = node.attrs.get("split") if node.opset < 13 else node.array(1, "sizes")
    if sizes is None:
        part = -(-shape[axis] // node.outputs)
        sizes = [part] * (node.outputs - 1) + [shape[axis] - part * (node.outputs - 1)]
    if min(sizes) < 0 or sum(sizes) != shape[axis]:
        raise UnsupportedModelError(f"splits {shape[axis]} into {[int(size) for size in sizes][:8]}; export it again")
    if node.outputs == 1:
        return node.inputs[0]
    places = [int(p) for p in np.cumsum([size for size in sizes if size])]
    parts = node.emit(relax.op.split(node.inputs[0], places[:-1], axis), "parts") if len(places) > 1 else None
    whole = iter([relax.TupleGetItem(parts, i) for i in range(len(places))] if parts is not None else [node.inputs[0]])
    empty = relax.const(np.zeros([*shape[:axis], 0, *shape[axis + 1 :]], node.dtype(0)))
    return relax.Tuple([next(whole) if size else empty for size in sizes])


def concat(node: "OnnxNode") -> relax.Call:
    """R.concat of the operands that hold something; a single one is the result."""
    axis = node.axis_at(node.attrs["axis"])
    parts = [part for i, part in enumerate(node.inputs) if node.shape(i)[axis]]
    return parts[0] if len(parts) == 1 else relax.op.concat(relax.Tuple(parts), axis)


def unsqueeze(node: "OnnxNode") -> relax.Call:
    """R.expand_dims; the axes count in the result, and one may come as a scalar."""
    axes = node.attrs["axes"] if node.opset < 13 else node.array(1, "axes").reshape(-1)
    rank = len(node.shape(0)) + len(axes)
    return relax.op.expand_dims(node.inputs[0], sorted(int(axis) % rank for axis in axes))


def space_to_depth(node: "OnnxNode") -> relax.Expr:
    """The block's pixels outermost among the channels (DCR), or innermost (CRD)."""
    (n, c, h, w), b = node.shape(0), int(node.attrs["blocksize"])
    apart = node.emit(relax.op.reshape(node.inputs[0], [n, c, h // b, b, w // b, b]), "blocks")
    order = [0, 1, 3, 5, 2, 4] if node.text("mode", "DCR") == "CRD" else [0, 3, 5, 1, 2, 4]
    return relax.op.reshape(node.emit(relax.op.permute_dims(apart, order), "turned"), [n, c * b * b, h // b, w // b])


def cast(node: "OnnxNode") -> relax.Expr:
    """Cast becomes R.astype, or nothing where the type stays."""
    dtype = node.dtype(1) if node.op == "CastLike" else str(onnx.helper.tensor_dtype_to_np_dtype(node.attrs["to"]))
    return node.inputs[0] if dtype == node.dtype(0) else relax.op.astype(node.inputs[0], dtype)


def bit_cast(node: "OnnxNode") -> relax.Expr:
    """BitCast reads the same bits as another type of the same width: octet.bits between float32 and int32; integers of
    one width wrap."""
    source, target = node.dtype(0), str(onnx.helper.tensor_dtype_to_np_dtype(node.attrs["to"]))
    if {source, target} <= _WHOLE and np.dtype(source).itemsize == np.dtype(target).itemsize:
        return node.inputs[0] if source == target else relax.op.astype(node.inputs[0], target)
    (real, whole) = (source, target) if source == "float32" else (target, source)
    if real != "float32" or whole not in ("int32", "uint32"):
        raise UnsupportedModelError(
            f"reads the bits of {source} as {target}; float32 and integers of one width are supported"
        )
    if real == source:
        bits = ops.call("octet.bits", [node.inputs[0]])
        return bits if whole == "int32" else relax.op.astype(node.emit(bits, "signed"), whole)
    return ops.call(
        "octet.bits",
        [node.inputs[0] if whole == "int32" else node.emit(relax.op.astype(node.inputs[0], "int32"), "signed")],
    )


def einsum(node: "OnnxNode") -> relax.Expr:
    """Einsum becomes R.einsum."""
    return relax.op.einsum(relax.Tuple(node.inputs), node.text("equation", "").replace(" ", ""))


def eye_like(node: "OnnxNode") -> "tvm.ir.GenericConst":
    """EyeLike reads a shape alone: a constant."""
    dtype = node.attrs.get("dtype", 0)
    rows, columns = node.shape(0)
    name = str(onnx.helper.tensor_dtype_to_np_dtype(dtype)) if dtype else node.dtype(0)
    return relax.const(np.eye(rows, columns, node.attrs.get("k", 0), name), name)


CONVERTERS = {
    "EyeLike": eye_like,
    "BitCast": bit_cast,
    "Cast": cast,
    "CastLike": cast,
    "Concat": concat,
    "Einsum": einsum,
    "Identity": identity,
    "Dropout": identity,
    "Pad": pad,
    "Tile": tile,
    "Split": split,
    "Unsqueeze": unsqueeze,
    "SpaceToDepth": space_to_depth,
}
