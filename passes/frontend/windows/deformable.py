"""DeformConv: a convolution whose taps read where offsets say, which a part of the network computes.

    y = linear(mask * sampled(x, place of every tap))      sampled: bilinear between pixels, 0 outside

The taps of a result lie side by side and the channels of a tap behind each other, as kernels read and write whole
pixels, so that the product is one of a linear layer with taps * C columns, which moves nothing."""

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
    """DeformConv as a grid_sample of every tap and a product. Operands: x [N, C, H, W], weight [O, C / group, KH, KW],
    offsets [N, groups of offsets * taps * 2, oh, ow] (row, column), bias [O], mask [N, groups of offsets * taps, oh,
    ow]."""
    o, per_group, *kernel = node.shape(1)
    if len(kernel) != 2:
        raise UnsupportedModelError(f"is a {len(kernel)}-D deformable convolution; only 2-D ones are supported")
    (n, c, h, w), (oh, ow) = node.shape(0), node.shape(2)[2:]
    strides, dilation = ([int(v) for v in node.attrs.get(name, [1, 1])] for name in ("strides", "dilations"))
    groups, apart, taps = int(node.attrs.get("group", 1)), int(node.attrs.get("offset_group", 1)), kernel[0] * kernel[1]
    pads = same_padding(node, kernel, strides, dilation)
    images, places = n * apart, oh * ow
    grid = _grid(node, (h, w), (oh, ow), kernel, strides, dilation, pads, images)
    x = node.emit(R.reshape(node.inputs[0], [images, c // apart, h, w]), "images") if apart > 1 else node.inputs[0]
    read = node.emit(R.image.grid_sample(x, grid, "bilinear", "NCHW", "zeros", False), "sampled")
    if node.has(4):
        mask = node.emit(R.reshape(_by_place(node, 4, images, taps, places), [images, 1, places, taps]), "mask")
        read = node.emit(R.multiply(read, mask), "masked")
    if apart > 1:
        read = node.emit(R.reshape(read, [n, apart, c // apart, places, taps]), "apart")
    axes = [0, 2, 3, 1] if apart == 1 else [0, 3, 4, 1, 2]
    pixels = node.emit(R.permute_dims(read, axes), "pixels")
    if groups > 1:
        return _by_groups(node, pixels, [n, places, taps, groups, per_group], (oh, ow))
    beside = node.emit(R.reshape(pixels, [n, places, taps * c]), "beside")
    weight = _weight(node, [2, 3, 1, 0], [taps * c, o])
    out = R.matmul(beside, weight)
    if node.has(3):
        out = R.add(node.emit(out, "product"), node.inputs[3])
    first = node.emit(R.permute_dims(node.emit(out), [0, 2, 1]), "channels.first")
    return R.reshape(first, [n, o, oh, ow])


def _by_groups(node: "OnnxNode", pixels: relax.Var, shape: list[int], out: tuple[int, int]) -> relax.Expr:
    """The product as a convolution by groups, whose channels lie group by group. shape: samples, places, taps, groups,
    channels of a group."""
    n, _, taps, groups, per_group = shape
    apart = node.emit(R.reshape(pixels, shape), "groups")
    turned = node.emit(R.permute_dims(apart, [0, 3, 2, 4, 1]), "turned")
    beside = node.emit(R.reshape(turned, [n, groups * taps * per_group, *out]), "beside")
    weight = _weight(node, [0, 2, 3, 1], [node.shape(1)[0], taps * per_group, 1, 1])
    return with_bias(node, R.nn.conv2d(beside, weight, groups=groups), 2, 3)


def _weight(node: "OnnxNode", axes: list[int], shape: list[int]) -> relax.Expr:
    """The kernel [O, C / group, KH, KW] with its axes in another order."""
    known = node.arrays[1]
    if known is not None:
        return relax.const(known.transpose(axes).reshape(shape))
    return node.emit(R.reshape(node.emit(R.permute_dims(node.inputs[1], axes), "kernel.turned"), shape), "kernel")


def _by_place(node: "OnnxNode", index: int, images: int, each: int, places: int) -> relax.Var:
    """Input [N, images / N * each, oh, ow] -> [images, places, each]."""
    flat = node.emit(R.reshape(node.inputs[index], [images, each, places]), f"flat{index}")
    return node.emit(R.permute_dims(flat, [0, 2, 1]), f"by.place{index}")


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
    """Where each tap of each result reads, as grid_sample wants it: [images, 2, places, taps], column before row, -1
    and 1 the image's edges."""
    taps, places = kernel[0] * kernel[1], out[0] * out[1]
    tap, place = np.indices(kernel).reshape(2, 1, taps), np.indices(out).reshape(2, places, 1)
    along, pad, scale = (np.reshape(each, [2, 1, 1]) for each in (strides, pads[:2], [2 / size for size in extents]))
    base = (tap * np.reshape(dilation, [2, 1, 1]) + place * along - pad + 0.5) * scale - 1
    offsets = _by_place(node, 2, images, taps * 2, places)  # Row and column of a tap lie beside each other.
    scaled = node.emit(R.multiply(offsets, relax.const(np.tile(np.ravel(scale), taps).astype("float32"))), "scaled")
    around = base.transpose(1, 2, 0).reshape(1, places, taps * 2).astype("float32")
    at = node.emit(R.add(scaled, relax.const(around)), "at")
    apart = node.emit(
        R.permute_dims(node.emit(R.reshape(at, [images, places, taps, 2]), "pairs"), [0, 3, 1, 2]), "axes"
    )
    return node.emit(R.flip(apart, 1), "grid")


CONVERTERS = {"DeformConv": deform_conv}
