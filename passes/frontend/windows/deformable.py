"""DeformConv: a convolution whose taps read where offsets say, which a part of the network computes.

    y = conv1x1(reshape(mask * sampled(x, place of every tap)))      sampled: bilinear between pixels, 0 outside

so that the product is one of a linear layer, with C * taps channels."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from tvm import relax

from ....targets.errors import UnsupportedModelError
from .convolution import same_padding, with_bias

if TYPE_CHECKING:
    from ..node import OnnxNode


R = relax.op


def deform_conv(node: "OnnxNode") -> relax.Expr:
    """x [N, C, H, W], weight [O, C / group, KH, KW], offsets [N, groups of offsets * taps * 2, oh, ow] (row, column),
    bias [O], mask [N, groups of offsets * taps, oh, ow]."""
    o, per_group, *kernel = node.shape(1)
    if len(kernel) != 2:
        raise UnsupportedModelError(f"is a {len(kernel)}-D deformable convolution; only 2-D ones are supported")
    (n, c, h, w), (oh, ow) = node.shape(0), node.shape(2)[2:]
    strides, dilation = ([int(v) for v in node.attrs.get(name, [1, 1])] for name in ("strides", "dilations"))
    groups, apart, taps = int(node.attrs.get("group", 1)), int(node.attrs.get("offset_group", 1)), kernel[0] * kernel[1]
    pads = same_padding(node, kernel, strides, dilation)
    grid = _grid(node, (h, w), (oh, ow), kernel, strides, dilation, pads, n * apart)
    x = node.emit(R.reshape(node.inputs[0], [n * apart, c // apart, h, w]), "images")
    read = node.emit(R.image.grid_sample(x, grid, "bilinear", "NCHW", "zeros", False), "sampled")
    if node.has(4):
        mask = node.emit(R.reshape(node.inputs[4], [n * apart, 1, taps * oh, ow]), "mask")
        read = node.emit(R.multiply(read, mask), "masked")
    beside = node.emit(R.reshape(read, [n, c * taps, oh, ow]), "beside")
    flat = [o, per_group * taps, 1, 1]
    known = node.arrays[1]
    weight = node.emit(R.reshape(node.inputs[1], flat), "kernel") if known is None else relax.const(known.reshape(flat))
    return with_bias(node, R.nn.conv2d(beside, weight, groups=groups), 2, 3)


def _grid(
    node: "OnnxNode",
    extents: Sequence[int],
    out: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int],
    dilation: Sequence[int],
    pads: Sequence[int],
    images: int,
) -> relax.Var:
    """Where each tap of each result reads, as grid_sample wants it: [images, 2, taps * oh, ow], column before row, -1
    and 1 the image's edges."""
    taps = kernel[0] * kernel[1]
    offsets = node.emit(R.reshape(node.inputs[2], [images, taps, 2, *out]), "offsets")
    tap = np.indices(kernel).reshape(2, taps, 1, 1)
    parts = []
    for axis in (1, 0):
        along = np.arange(out[axis]).reshape([-1, 1] if axis == 0 else [1, -1]) * strides[axis]
        at = np.broadcast_to(tap[axis] * dilation[axis] + along - pads[axis], [taps, *out])
        scale = 2 / extents[axis]
        moved = node.emit(
            R.reshape(
                node.emit(R.strided_slice(offsets, [2], [axis], [axis + 1]), f"axis{axis}"),
                [images, 1, taps * out[0], out[1]],
            ),
            f"moved{axis}",
        )
        scaled = node.emit(R.multiply(moved, relax.const(np.float32(scale))), f"scaled{axis}")
        base = ((at + 0.5) * scale - 1).reshape(1, 1, taps * out[0], out[1]).astype("float32")
        parts.append(node.emit(R.add(scaled, relax.const(base)), f"place{axis}"))
    return node.emit(R.concat(parts, 1), "grid")


CONVERTERS = {"DeformConv": deform_conv}
