"""MaxUnpool: every element back at the place where a pooling found it, zeros elsewhere.

Places that come from a MaxPool of the same windows, which do not overlap, lie in their window: each tap of a window is
the element where its place says so, else 0. That takes as many comparisons as the result has elements. Other places are
looked up (indexing/scatter.py)."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from tvm import relax

from ...ops import shape_of
from ..indexing.scatter import put
from .pooling import element_strides, window_begins

if TYPE_CHECKING:
    from ..node import OnnxNode


R = relax.op


def max_unpool(node: "OnnxNode") -> relax.Expr:
    """ONNX counts places through the whole tensor that kernel, strides and pads make; zeros lie behind it, up to the
    shape that is given. Places of a MaxPool are counted through what it read."""
    shape, kernel = node.shape(0), [int(k) for k in node.attrs["kernel_shape"]]
    rank = len(kernel)
    strides, pads = list(node.attrs.get("strides", [1] * rank)), list(node.attrs.get("pads", [0] * 2 * rank))
    image = zip(shape[2:], strides, kernel, pads[:rank], pads[rank:])
    out = [*shape[:2], *(int((extent - 1) * s + k - begin - end) for extent, s, k, begin, end in image)]
    wanted = node.array(2, "shape")
    wanted = out if wanted is None else [int(extent) for extent in wanted]
    if (read := _pooled(node, kernel, strides)) and read[:2] == shape[:2]:
        found = _by_windows(node, kernel, strides, read)
        begins = [0] * len(read)
        cut = [min(old, new) for old, new in zip(shape_of(found), wanted)]
        return _grown(node, node.emit(R.strided_slice(found, list(range(len(read))), begins, cut), "inside"), wanted)
    flat = relax.const(np.zeros(math.prod(out), node.dtype(0)))
    updates = node.emit(R.reshape(node.inputs[0], [math.prod(shape)]), "updates")
    return _grown(node, node.emit(R.reshape(put(node, flat, updates, 1), out), "apart"), wanted)


def _grown(node: "OnnxNode", x: relax.Var, wanted: list[int]) -> relax.Expr:
    widths = [width for old, new in zip(shape_of(x), wanted) for width in (0, new - old)]
    return R.nn.pad(x, widths) if any(widths) else x


def _pooled(node: "OnnxNode", kernel: list[int], strides: list[int]) -> Sequence[int] | None:
    """The shape that a MaxPool read whose places these are, where its windows are these and have nothing between them
    and no padding; else None."""
    pool, pooled = node.maker(1)
    if pool is None or pool.op_type != "MaxPool" or kernel != strides:
        return None
    read = list(shape_of(pooled))
    attrs = {attribute.name: list(attribute.ints) or attribute.i for attribute in pool.attribute}
    plain = (
        attrs.get("kernel_shape") == kernel == attrs.get("strides")
        and not any(attrs.get("pads", []))
        and not attrs.get("storage_order", 0)
    )
    whole = not attrs.get("ceil_mode", 0) and set(attrs.get("dilations", [1])) == {1} and "auto_pad" not in attrs
    return read if plain and whole and [e // k for e, k in zip(read[2:], kernel)] == node.shape(1)[2:] else None


def _by_windows(node: "OnnxNode", kernel: list[int], strides: list[int], read: Sequence[int]) -> relax.Var:
    """[N, C, h, ..] -> [N, C, h * k, ..]."""
    shape, steps = node.shape(0), element_strides(read[2:], 0)
    rank = len(kernel)
    tap = node.inputs[1]
    for part, begins in enumerate(window_begins(read, shape[2:], strides, [0] * rank, steps)):
        tap = node.emit(R.subtract(tap, relax.const(begins, "int64")), f"tap{part}")
    zero = relax.const(np.zeros([1] * len(shape), node.dtype(0)))
    taps = []
    for at in np.ndindex(*kernel):
        name, offset = "tap" + "_".join(map(str, at)), np.full([1] * len(shape), np.dot(at, steps), "int64")
        here = node.emit(R.equal(tap, relax.const(offset, "int64")), f"{name}.here")
        value = node.emit(R.where(here, node.inputs[0], zero), name)
        taps.append(node.emit(R.expand_dims(value, len(shape)), f"{name}.deep"))
    beside = node.emit(R.reshape(node.emit(R.concat(taps, len(shape)), "beside"), [*shape, *kernel]), "windows")
    order = [0, 1] + [axis for i in range(rank) for axis in (2 + i, 2 + rank + i)]
    turned = node.emit(R.permute_dims(beside, order), "turned")
    return node.emit(R.reshape(turned, [*shape[:2], *(extent * k for extent, k in zip(shape[2:], kernel))]), "whole")


CONVERTERS = {"MaxUnpool": max_unpool}
