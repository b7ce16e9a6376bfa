"""Operators that move, choose or repeat elements, in ONNX."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...targets.errors import UnsupportedModelError
from ..ops import attrs_of, shape_of

if TYPE_CHECKING:
    from tvm import relax

    from .onnx_qdq import Emitter

# A translator gives the name of its result, or of several.
Translate = Callable[["relax.Call", Sequence[str], "Emitter"], Any]


def _reshape(call: "relax.Call", operands: Sequence[str], out: "Emitter") -> str:
    return out.node("Reshape", [operands[0], out.constant(np.array(shape_of(call), np.int64))])


def _transpose(call: "relax.Call", operands: Sequence[str], out: "Emitter") -> str:
    axes = attrs_of(call)["axes"]
    return out.node("Transpose", operands, perm=axes if axes is not None else list(range(len(shape_of(call))))[::-1])


def _concat(call: "relax.Call", operands: Sequence[str], out: "Emitter") -> str:
    return out.node("Concat", operands, axis=attrs_of(call)["axis"])


def _split(call: "relax.Call", operands: Sequence[str], out: "Emitter") -> tuple[str, ...]:
    axis = attrs_of(call)["axis"]
    sizes = [int(field.shape.values[axis]) for field in call.ty.fields]
    return out.node("Split", [operands[0], out.constant(np.array(sizes, np.int64))], outputs=len(sizes), axis=axis)


def _slice(call: "relax.Call", operands: Sequence[str], out: "Emitter") -> str:
    axes, begin, end = ([int(v.value) for v in arg.fields] for arg in call.args[1:4])
    strides = [int(v.value) for v in call.args[4].fields] if len(call.args) > 4 else [1] * len(axes)
    return out.node("Slice", [operands[0], *(out.constant(np.array(v, np.int64)) for v in (begin, end, axes, strides))])


def _pad(call: "relax.Call", operands: Sequence[str], out: "Emitter") -> str:
    attrs = attrs_of(call)
    width = attrs["pad_width"]
    pads = out.constant(np.array(width[0::2] + width[1::2], np.int64))
    if attrs["pad_mode"] == "circular":
        raise UnsupportedModelError("ONNX export: a padding wraps around, which opset 17 cannot say; pad in front")
    mode = {"constant": "constant", "edge": "edge", "replicate": "edge", "reflect": "reflect"}[attrs["pad_mode"]]
    fill = [out.constant(np.array(attrs["pad_value"], str(call.ty.dtype)))] if mode == "constant" else []
    return out.node("Pad", [operands[0], pads, *fill], mode=mode)


def _tile(call: "relax.Call", operands: Sequence[str], out: "Emitter") -> str:
    return out.node("Tile", [operands[0], out.constant(np.array(attrs_of(call)["repeats"], np.int64))])


def _take(call: "relax.Call", operands: Sequence[str], out: "Emitter") -> str:
    axis = attrs_of(call)["axis"]
    return out.node("Gather", operands, axis=axis if axis is not None else 0)


def _scatter_add(call: "relax.Call", operands: Sequence[str], out: "Emitter") -> str:
    data, updates, numbers = operands
    column = out.node("Unsqueeze", [numbers, out.constant(np.array([1], np.int64))])
    if str(call.args[2].ty.dtype) != "int64":
        column = out.node("Cast", [column], to=7)
    return out.node("ScatterND", [data, column, updates], reduction="add")


def _embedding(call: "relax.Call", operands: Sequence[str], out: "Emitter") -> str:
    return out.node("Gather", [out.node("DequantizeLinear", operands[:2], axis=0), operands[2]])


def _broadcast(call: "relax.Call", operands: Sequence[str], out: "Emitter") -> str:
    return out.node("Expand", [operands[0], out.constant(np.array(shape_of(call), np.int64))])


def _flip(call: "relax.Call", operands: Sequence[str], out: "Emitter") -> str:
    """A slice with step -1."""
    ends = [np.array([value], np.int64) for value in (-1, -(2**62), attrs_of(call)["axis"], -1)]
    return out.node("Slice", [operands[0], *map(out.constant, ends)])


def _triangle(upper: int) -> Translate:
    def export(call: "relax.Call", operands: Sequence[str], out: "Emitter") -> str:
        first = int(call.args[1].value) if len(call.args) > 1 else attrs_of(call)["k"]
        return out.node("Trilu", [operands[0], out.constant(np.int64(first))], upper=upper)

    return export


EXPORTERS = {
    "relax.tril": _triangle(0),
    "relax.triu": _triangle(1),
    "relax.reshape": _reshape,
    "relax.squeeze": _reshape,
    "relax.expand_dims": _reshape,
    "relax.flatten": _reshape,
    "relax.permute_dims": _transpose,
    "relax.concat": _concat,
    "relax.split": _split,
    "relax.strided_slice": _slice,
    "relax.nn.pad": _pad,
    "relax.tile": _tile,
    "relax.take": _take,
    "octet.embedding": _embedding,
    "octet.scatter_add": _scatter_add,
    "relax.broadcast_to": _broadcast,
    "relax.flip": _flip,
}
