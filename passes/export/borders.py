"""Values between and around the pixels of an image, as ONNX operators."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..ops import attrs_of, shape_of

if TYPE_CHECKING:
    from tvm import relax

    from .onnx_qdq import Emitter


def interleave(call: "relax.Call", operands: Sequence[str], out: "Emitter") -> str:
    """Zeros between neighbours: a last axis of `stride` per pixel and row, then the surplus cut off."""
    attrs = attrs_of(call)
    n, c, h, w = shape_of(call.args[0])
    sh, sw = attrs["strides"]
    fill = out.constant(np.float32(attrs["fill"]))
    split = out.node("Reshape", [operands[0], out.constant(np.array([n, c, h, 1, w, 1], np.int64))])
    padded = out.node("Pad", [split, out.constant(np.array([0] * 6 + [0, 0, 0, sh - 1, 0, sw - 1], np.int64)), fill])
    joined = out.node("Reshape", [padded, out.constant(np.array([n, c, h * sh, w * sw], np.int64))])
    ends = np.array([(h - 1) * sh + 1, (w - 1) * sw + 1], np.int64)
    return out.node(
        "Slice",
        [joined, out.constant(np.zeros(2, np.int64)), out.constant(ends), out.constant(np.array([2, 3], np.int64))],
    )


def depth_to_space(call: "relax.Call", operands: Sequence[str], out: "Emitter") -> str:
    """octet.depth_to_space as ONNX's own where both strides are equal, else by a transpose of its phases."""
    (n, c, h, w), (sh, sw) = shape_of(call.args[0]), attrs_of(call)["strides"]
    if sh == sw:
        return out.node("DepthToSpace", [operands[0]], blocksize=sh, mode="DCR")
    each = c // (sh * sw)
    split = out.node("Reshape", [operands[0], out.constant(np.array([n, sh, sw, each, h, w], np.int64))])
    turned = out.node("Transpose", [split], perm=[0, 3, 4, 1, 5, 2])
    return out.node("Reshape", [turned, out.constant(np.array([n, each, h * sh, w * sw], np.int64))])


def frame(call: "relax.Call", operands: Sequence[str], out: "Emitter") -> str:
    """octet.frame as constants that are joined to the sides of an image, then above and below."""
    attrs = attrs_of(call)
    top, left, bottom, right = attrs["padding"]
    n, c, h, w = shape_of(call.args[0])
    fill = np.array(attrs["fill"], np.float32).reshape(-1, 1, 1)

    def joined(x: str, axis: int, before: int, after: int, extents: Callable[[int], tuple[int, int]]) -> str:
        sides = [
            [out.constant(np.broadcast_to(fill, (n, c, *extents(width))).copy())] if width else []
            for width in (before, after)
        ]
        return out.node("Concat", [*sides[0], x, *sides[1]], axis=axis)

    rows = joined(operands[0], 3, left, right, lambda width: (h, width))
    return joined(rows, 2, top, bottom, lambda height: (height, left + w + right))
