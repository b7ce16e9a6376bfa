"""Conv and ConvTranspose with their padding made explicit (auto_pad, output_shape), 1-D to 3-D."""

from typing import TYPE_CHECKING

import numpy as np
from tvm import relax

from ....targets.errors import UnsupportedModelError
from ...ops import shape_of

if TYPE_CHECKING:
    from ..node import OnnxNode


def conv(node: "OnnxNode") -> relax.Expr:
    """R.nn.conv1d / conv2d with explicit padding, and the bias added as [1, O, 1(, 1)]. Integers raise
    UnsupportedModelError."""
    rank = len(node.shape(0)) - 2
    if rank not in (1, 2, 3):
        raise UnsupportedModelError(f"is a {rank}-D convolution; only 1-D to 3-D are supported")
    _check_floats(node)
    kernel = node.shape(1)[2:]
    strides, dilation = _list(node, "strides", rank), _list(node, "dilations", rank)
    padding = same_padding(node, kernel, strides, dilation)
    if rank == 3:
        return _volumes(node, strides, padding, dilation)
    op = relax.op.nn.conv1d if rank == 1 else relax.op.nn.conv2d
    out = op(
        node.inputs[0],
        node.inputs[1],
        strides=strides,
        padding=padding,
        dilation=dilation,
        groups=node.attrs.get("group", 1),
    )
    return with_bias(node, out, rank)


def _check_floats(node: "OnnxNode") -> None:
    if node.dtype(0) != "float32":
        raise UnsupportedModelError(
            f"convolves {node.dtype(0)}, and ONNX's {node.op} takes floats alone; export it as ConvInteger, or with a "
            "Cast to float32 in front"
        )


def _volumes(node: "OnnxNode", strides: list[int], padding: list[int], dilation: list[int]) -> relax.Call:
    """A 3-D convolution as a 2-D one of the planes of its result: the planes that the taps along depth read are
    channels beside each other, [N * depth, C * taps, H, W], and so are the weight's, [O, C / groups * taps, KH, KW]."""
    (n, c, d, h, w), (o, per_group, taps, *kernel) = node.shape(0), node.shape(1)
    before, after, step, stride = padding[0], padding[3], dilation[0], strides[0]
    x = node.inputs[0]
    if before or after:
        x = node.emit(relax.op.nn.pad(x, [0, 0, 0, 0, before, after, 0, 0, 0, 0]), "deeper")
    depth = (d + before + after - step * (taps - 1) - 1) // stride + 1
    begins = [tap * step for tap in range(taps)]
    read = [relax.op.strided_slice(x, [2], [b], [b + (depth - 1) * stride + 1], [stride]) for b in begins]
    read = [node.emit(relax.op.expand_dims(node.emit(each, f"tap{i}"), 2), f"taps{i}") for i, each in enumerate(read)]
    beside = node.emit(relax.op.concat(read, 2), "beside") if taps > 1 else read[0]
    turned = node.emit(relax.op.permute_dims(beside, [0, 3, 1, 2, 4, 5]), "turned")
    planes = node.emit(relax.op.reshape(turned, [n * depth, c * taps, h, w]), "planes")
    flat = [o, per_group * taps, *kernel]
    known = node.arrays[1]
    weight = (
        node.emit(relax.op.reshape(node.inputs[1], flat), "kernel")
        if known is None
        else relax.const(known.reshape(flat))
    )
    pads = [*padding[1:3], *padding[4:]]
    out = relax.op.nn.conv2d(
        planes, weight, strides=strides[1:], padding=pads, dilation=dilation[1:], groups=node.attrs.get("group", 1)
    )
    out = with_bias(node, out, 2)
    out = out if node.has(2) else node.emit(out)
    _, _, height, width = shape_of(out)
    apart = node.emit(relax.op.reshape(out, [n, depth, o, height, width]), "apart")
    return relax.op.permute_dims(apart, [0, 2, 1, 3, 4])


def conv_transpose(node: "OnnxNode") -> relax.Expr:
    """R.nn.conv1d_transpose / conv2d_transpose; `output_shape` and auto_pad SAME_* become pads and output padding as
    ONNX says."""
    rank = len(node.shape(0)) - 2
    if rank not in (1, 2, 3):
        raise UnsupportedModelError(f"is a {rank}-D transposed convolution; only 1-D to 3-D are supported")
    _check_floats(node)
    kernel, strides, dilation = node.shape(1)[2:], _list(node, "strides", rank), _list(node, "dilations", rank)
    extra = _list(node, "output_padding", rank, 0)
    mode = node.text("auto_pad", "NOTSET")
    wanted = node.attrs.get("output_shape")
    pads = list(node.attrs.get("pads", [0] * 2 * rank)) if mode == "NOTSET" else [0] * 2 * rank
    if wanted is None and mode in ("SAME_UPPER", "SAME_LOWER"):
        wanted = [extent * stride for extent, stride in zip(node.shape(0)[2:], strides)]
    if wanted is not None:
        for i in range(rank):
            full = strides[i] * (node.shape(0)[2 + i] - 1) + extra[i] + (kernel[i] - 1) * dilation[i] + 1
            total = full - wanted[i]
            extra[i], total = extra[i] + max(-total, 0), max(total, 0)
            # ONNX: SAME_UPPER puts the odd pad at the end, everything else at the beginning.
            pads[i] = total // 2 if mode == "SAME_UPPER" else total - total // 2
            pads[rank + i] = total - pads[i]
    if rank == 3:
        return _volumes_apart(node, strides, pads, extra, dilation)
    op = relax.op.nn.conv1d_transpose if rank == 1 else relax.op.nn.conv2d_transpose
    out = op(
        node.inputs[0],
        node.inputs[1],
        strides=strides,
        padding=pads,
        output_padding=extra,
        dilation=dilation,
        groups=node.attrs.get("group", 1),
    )
    return with_bias(node, out, rank)


def _volumes_apart(
    node: "OnnxNode", strides: list[int], pads: list[int], extra: list[int], dilation: list[int]
) -> relax.Expr:
    """A 3-D transposed convolution: a 2-D one of every plane, whose results are the planes that each tap along depth
    adds to, [N * D, O * taps, H, W].
    Tap k of plane d goes to depth d * stride + k * dilation; the depths are summed and cut."""
    (n, c, d, h, w), (_, per_group, taps, *kernel) = node.shape(0), node.shape(1)
    stride, step, groups = strides[0], dilation[0], int(node.attrs.get("group", 1))
    o, flat = per_group * groups, [c, per_group * taps, *kernel]
    planes = node.emit(
        relax.op.reshape(node.emit(relax.op.permute_dims(node.inputs[0], [0, 2, 1, 3, 4]), "turned"), [n * d, c, h, w]),
        "planes",
    )
    weight = (
        node.emit(relax.op.reshape(node.inputs[1], flat), "kernel")
        if node.arrays[1] is None
        else relax.const(node.arrays[1].reshape(flat))
    )
    out = relax.op.nn.conv2d_transpose(
        planes,
        weight,
        strides=strides[1:],
        padding=[*pads[1:3], *pads[4:]],
        output_padding=extra[1:],
        dilation=dilation[1:],
        groups=groups,
    )
    out = node.emit(out, "taps")
    height, width = shape_of(out)[2:]
    turned = node.emit(
        relax.op.permute_dims(
            node.emit(relax.op.reshape(out, [n, d, o, taps, height, width]), "apart"), [0, 2, 1, 3, 4, 5]
        ),
        "beside",
    )
    deep = (d - 1) * stride + step * (taps - 1) + 1
    if stride == taps and step == 1:
        whole = node.emit(relax.op.reshape(turned, [n, o, deep, height, width]), "deep")
    else:
        parts = [node.emit(relax.op.strided_slice(turned, [3], [k], [k + 1]), f"tap{k}") for k in range(taps)]
        parts = [_spread(node, part, stride, k * step, deep, f"tap{k}") for k, part in enumerate(parts)]
        whole = parts[0]
        for k, part in enumerate(parts[1:]):
            whole = node.emit(relax.op.add(whole, part), f"sum{k}")
    first, last = pads[0], deep + extra[0] - pads[3]
    if last > deep:
        whole = node.emit(relax.op.nn.pad(whole, [0, 0, 0, 0, 0, last - deep, 0, 0, 0, 0]), "deeper")
    if first or last < deep:
        whole = node.emit(relax.op.strided_slice(whole, [2], [first], [last]), "cut")
    return with_bias(node, whole, 3)


def _spread(node: "OnnxNode", planes: relax.Expr, stride: int, begin: int, deep: int, name: str) -> relax.Var:
    """[N, O, D, 1, H, W] -> [N, O, deep, H, W]: plane d at depth begin + d * stride, zeros elsewhere."""
    n, o, d, _, height, width = shape_of(planes)
    wide = [0, 0] * 3 + [0, stride - 1] + [0, 0] * 2
    planes = node.emit(relax.op.nn.pad(planes, wide), f"{name}.apart") if stride > 1 else planes
    planes = node.emit(relax.op.reshape(planes, [n, o, d * stride, height, width]), f"{name}.planes")
    planes = (
        node.emit(relax.op.strided_slice(planes, [2], [0], [(d - 1) * stride + 1]), f"{name}.between")
        if stride > 1
        else planes
    )
    after = deep - begin - (d - 1) * stride - 1
    return (
        node.emit(relax.op.nn.pad(planes, [0, 0, 0, 0, begin, after, 0, 0, 0, 0]), f"{name}.deep")
        if begin or after
        else planes
    )


def same_padding(node: "OnnxNode", kernel: list[int], strides: list[int], dilation: list[int]) -> list[int]:
    """The pads [begin..., end...] of a convolution or pooling node; auto_pad resolved against the input's extents."""
    rank, mode = len(kernel), node.text("auto_pad", "NOTSET")
    if mode == "NOTSET":
        return list(node.attrs.get("pads", [0] * 2 * rank))
    begin, end = [0] * rank, [0] * rank
    if mode in ("SAME_UPPER", "SAME_LOWER"):
        for i, extent in enumerate(node.shape(0)[2:]):
            out = -(-extent // strides[i])
            total = max((out - 1) * strides[i] + (kernel[i] - 1) * dilation[i] + 1 - extent, 0)
            begin[i] = total // 2 if mode == "SAME_UPPER" else total - total // 2
            end[i] = total - begin[i]
    return begin + end


def with_bias(node: "OnnxNode", out: relax.Expr, rank: int, position: int = 2) -> relax.Expr:
    """The sum of `out` [N, O, ..] and the node's optional input at that position, a bias [O]."""
    if not node.has(position):
        return out
    bias = node.inputs[position]
    if node.arrays[position] is not None:
        shaped = relax.const(node.arrays[position].reshape([1, -1] + [1] * rank))
    else:
        shaped = node.emit(relax.op.reshape(bias, [1, -1] + [1] * rank), "shaped")
    return node.emit(relax.op.add(out if isinstance(out, relax.Var) else node.emit(out), shaped), "bias")


def _list(node: "OnnxNode", name: str, rank: int, default: int = 1) -> list[int]:
    return [int(v) for v in node.attrs.get(name, [default] * rank)]


def col2im(node: "OnnxNode") -> relax.Call:
    """Columns of patches [N, C * taps, L] added up at their places in images: a transposed convolution whose weights
    put every tap where it came from."""
    (image, block), (n, wide, _) = (
        (node.array(i, what).tolist() for i, what in ((1, "image shape"), (2, "block shape"))),
        node.shape(0),
    )
    rank, taps = len(block), int(np.prod(block))
    if rank != 2:
        raise UnsupportedModelError(f"makes {rank}-D images; only 2-D ones are supported")
    strides, dilation, pads = (
        _list(node, "strides", rank),
        _list(node, "dilations", rank),
        _list(node, "pads", 2 * rank, 0),
    )
    channels = wide // taps
    reach = [extent + pads[i] + pads[rank + i] - dilation[i] * (block[i] - 1) - 1 for i, extent in enumerate(image)]
    rest = [room % stride for room, stride in zip(reach, strides)]  # No patch reaches this end of the image.
    patches = node.emit(
        relax.op.reshape(node.inputs[0], [n, wide, *(room // stride + 1 for room, stride in zip(reach, strides))]),
        "patches",
    )
    weight = np.tile(np.eye(taps, dtype="float32").reshape(taps, 1, *block), (channels, 1, 1, 1))
    return relax.op.nn.conv2d_transpose(
        patches,
        relax.const(weight),
        strides=strides,
        padding=pads,
        output_padding=rest,
        dilation=dilation,
        groups=channels,
    )


CONVERTERS = {"Conv": conv, "ConvTranspose": conv_transpose, "Col2Im": col2im}
