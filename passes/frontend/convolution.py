"""Conv and ConvTranspose with their padding made explicit (auto_pad, output_shape), 1-D and 2-D."""

from tvm import relax

from ...targets.errors import UnsupportedModelError


def conv(node):
    """R.nn.conv1d / conv2d with explicit padding, and the bias added as [1, O, 1(, 1)]. Other ranks are TVM's."""
    rank = len(node.shape(0)) - 2
    if rank not in (1, 2):
        raise UnsupportedModelError(f"is a {rank}-D convolution; only 1-D and 2-D are supported")
    kernel = node.shape(1)[2:]
    strides, dilation = _list(node, "strides", rank), _list(node, "dilations", rank)
    padding = same_padding(node, kernel, strides, dilation)
    op = relax.op.nn.conv1d if rank == 1 else relax.op.nn.conv2d
    out = op(node.inputs[0], node.inputs[1], strides=strides, padding=padding, dilation=dilation, groups=node.attrs.get("group", 1))
    return _with_bias(node, out, rank)


def conv_transpose(node):
    """R.nn.conv1d_transpose / conv2d_transpose; `output_shape` and auto_pad SAME_* become pads and output padding as ONNX says."""
    rank = len(node.shape(0)) - 2
    if rank not in (1, 2):
        raise UnsupportedModelError(f"is a {rank}-D transposed convolution; only 1-D and 2-D are supported")
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
    op = relax.op.nn.conv1d_transpose if rank == 1 else relax.op.nn.conv2d_transpose
    out = op(
        node.inputs[0], node.inputs[1], strides=strides, padding=pads, output_padding=extra, dilation=dilation, groups=node.attrs.get("group", 1)
    )
    return _with_bias(node, out, rank)


def same_padding(node, kernel, strides, dilation) -> list[int]:
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


def _with_bias(node, out, rank):
    if not node.has(2):
        return out
    bias = node.inputs[2]
    if node.arrays[2] is not None:
        shaped = relax.const(node.arrays[2].reshape([1, -1] + [1] * rank))
    else:
        shaped = node.emit(relax.op.reshape(bias, [1, -1] + [1] * rank), "shaped")
    return node.emit(relax.op.add(node.emit(out), shaped), "bias")


def _list(node, name, rank, default=1):
    return [int(v) for v in node.attrs.get(name, [default] * rank)]


CONVERTERS = {"Conv": conv, "ConvTranspose": conv_transpose}
