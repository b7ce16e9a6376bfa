"""Pooling with explicit padding: auto_pad resolved, ceil_mode turned into padding at the end, 1-D to 3-D."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from tvm import relax

from ....targets.errors import UnsupportedModelError
from ...ops import shape_of
from .convolution import same_padding

if TYPE_CHECKING:
    from ..node import OnnxNode


def pool(node: "OnnxNode") -> relax.Expr:
    """R.nn.max_pool / avg_pool with ceil_mode False.

    The last window of ceil_mode may reach beyond the padding. For the maximum, and for an average over valid elements,
    more padding at the end is the same. An average that counts its padding does not count what lies beyond it: such
    padding is made explicit with R.nn.pad, after which the average runs over valid elements only.
    """
    rank = len(node.shape(0)) - 2
    if rank not in (1, 2, 3):
        raise UnsupportedModelError(f"is a {rank}-D pooling; only 1-D to 3-D are supported")
    kernel = [int(k) for k in node.attrs["kernel_shape"]]
    strides = [int(s) for s in node.attrs.get("strides", [1] * rank)]
    dilation = [int(d) for d in node.attrs.get("dilations", [1] * rank)]
    pads = same_padding(node, kernel, strides, dilation)
    beyond = [0] * rank
    if node.attrs.get("ceil_mode", 0) and node.text("auto_pad", "NOTSET") == "NOTSET":
        reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation)]
        starts = [extent + pad for extent, pad in zip(node.shape(0)[2:], pads)]
        beyond = [
            _beyond(start + end, start, window, stride)
            for start, end, window, stride in zip(starts, pads[rank:], reach, strides)
        ]
    x, include = node.inputs[0], bool(node.attrs.get("count_include_pad", 0))
    average = node.op == "AveragePool"
    if average and include and any(beyond) and any(pads):
        x, pads, include = node.emit(relax.op.nn.pad(x, _widths(pads)), "pad"), [0] * 2 * rank, False
    elif any(beyond):
        include = False
    pads = pads[:rank] + [pad + more for pad, more in zip(pads[rank:], beyond)]
    if node.outputs > 1:
        return _with_places(node, x, kernel, strides, pads, dilation)
    if rank == 3:
        op = relax.op.nn.avg_pool2d if average else relax.op.nn.max_pool2d
        return _of_volumes(node, x, op, kernel, strides, pads, dilation, include)
    op = getattr(relax.op.nn, f"{'avg' if average else 'max'}_pool{rank}d")
    return op(x, kernel, strides, pads, dilation, False, include)


def _widths(pads: Sequence[int]) -> list[int]:
    """ONNX's pads [begin..., end...] of the axes behind batch and channels, as R.nn.pad takes those of all axes."""
    rank = len(pads) // 2
    return [0, 0, 0, 0] + [width for both in zip(pads[:rank], pads[rank:]) for width in both]


def _with_places(
    node: "OnnxNode", x: relax.Expr, kernel: list[int], strides: list[int], pads: list[int], dilation: list[int]
) -> relax.Tuple:
    """(maxima, where they lie: of equal ones the first, counted through the whole tensor). One comparison per element
    of the window: taps in the order of the count, each a strided slice of the padded tensor. A place is where its
    window begins and how far the tap is from there."""
    shape, rank = node.shape(0), len(kernel)
    lowest = -np.inf if node.dtype(0) == "float32" else np.iinfo(node.dtype(0)).min
    padded = node.emit(relax.op.nn.pad(x, _widths(pads), "constant", lowest), "padded") if any(pads) else x
    spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilation)]
    counts = [(extent + pads[i] + pads[rank + i] - spans[i]) // strides[i] + 1 for i, extent in enumerate(shape[2:])]
    axes, steps = list(range(2, 2 + rank)), element_strides(shape[2:], node.attrs.get("storage_order", 0))
    best: Any = None
    offset: Any = None
    for tap in np.ndindex(*kernel):
        first = [t * d for t, d in zip(tap, dilation)]
        last = [begin + (count - 1) * stride + 1 for begin, count, stride in zip(first, counts, strides)]
        name = "tap" + "_".join(map(str, tap))
        value = node.emit(relax.op.strided_slice(padded, axes, first, last, strides), name)
        here = _whole(np.dot(first, steps), rank)
        if best is None:
            best, offset = value, here
            continue
        more = node.emit(relax.op.greater(value, best), f"{name}.more")
        offset = node.emit(relax.op.where(more, here, offset), f"{name}.offset")
        best = node.emit(relax.op.maximum(value, best), f"{name}.best")
    for part, begins in enumerate(window_begins(shape, counts, strides, pads, steps)):
        offset = node.emit(relax.op.add(offset, relax.const(begins, "int64")), f"place{part}")
    return relax.Tuple([best, offset])


def element_strides(extents: Sequence[int], columns_first: int) -> list[int]:
    """Elements of a plane of these extents from one index of an axis to the next, in the order in which MaxPool
    counts."""
    behind = [extents[:i] if columns_first else extents[i + 1 :] for i in range(len(extents))]
    return [int(np.prod(each)) for each in behind]


def window_begins(
    shape: Sequence[int], counts: Sequence[int], strides: Sequence[int], pads: Sequence[int], steps: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """(where every plane of a tensor [N, C, ..] begins [N, C, 1..], where every window begins in a plane [1, 1,
    counts..]), int64 elements."""
    planes = np.arange(np.prod(shape[:2])).reshape(*shape[:2], *[1] * len(counts)) * int(np.prod(shape[2:]))
    first = np.meshgrid(
        *((np.arange(n) * s - pad) * step for n, s, pad, step in zip(counts, strides, pads, steps)), indexing="ij"
    )
    return planes.astype("int64"), np.sum(first, axis=0)[None, None].astype("int64")


def _whole(value: np.int64, rank: int) -> relax.Expr:
    return relax.const(np.full([1] * (2 + rank), value, "int64"), "int64")


def _of_volumes(
    node: "OnnxNode",
    x: relax.Expr,
    op: Callable[..., relax.Expr],
    kernel: list[int],
    strides: list[int],
    pads: list[int],
    dilation: list[int],
    include: bool,
) -> relax.Call:
    """Over height and width of every plane, then over depth: a window's maximum, and its count of valid elements as
    well as its sum, come from those of its planes."""
    n, c, d, *_ = shape_of(x)
    planes = node.emit(relax.op.reshape(x, [n, c * d, *shape_of(x)[3:]]), "planes")
    across = node.emit(
        op(planes, kernel[1:], strides[1:], [*pads[1:3], *pads[4:]], dilation[1:], False, include), "across"
    )
    _, _, h, w = shape_of(across)
    lines = node.emit(relax.op.reshape(across, [n, c, d, h * w]), "lines")
    deep = op(lines, [kernel[0], 1], [strides[0], 1], [pads[0], 0, pads[3], 0], [dilation[0], 1], False, include)
    deep = node.emit(deep, "deep")
    return relax.op.reshape(deep, [n, c, int(deep.ty.shape.values[2]), h, w])


def _beyond(padded: int, last_start: int, window: int, stride: int) -> int:
    """Elements that the windows of ceil_mode reach beyond the padded extent; a window that would start in the end
    padding is dropped."""
    count = -(-(padded - window) // stride) + 1
    if (count - 1) * stride >= last_start:
        count -= 1
    return max((count - 1) * stride + window - padded, 0)


def global_pool(node: "OnnxNode") -> relax.Call:
    """GlobalAveragePool is a mean over the spatial axes, GlobalMaxPool a pooling window of the whole extent (2-D) or a
    maximum."""
    extents = node.shape(0)[2:]
    axes = [2 + i for i in range(len(extents))]
    if node.op == "GlobalAveragePool":
        return relax.op.mean(node.inputs[0], axes, keepdims=True)
    if len(extents) == 2:
        return relax.op.nn.max_pool2d(node.inputs[0], extents, [1, 1], [0, 0, 0, 0])
    return relax.op.max(node.inputs[0], axes, keepdims=True)


CONVERTERS = {"MaxPool": pool, "AveragePool": pool, "GlobalAveragePool": global_pool, "GlobalMaxPool": global_pool}
