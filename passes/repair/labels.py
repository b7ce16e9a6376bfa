"""Which elements of a tensor belong to which channel, carried through the operators that only move or mix elements of
one channel.

A label array has the tensor's rank, extent 1 on every axis along which the channel does not change, and the number of
the channel elsewhere:
[1, C, 1, 1] behind a convolution, [1, 1, D] behind a linear layer, [1, heads, 1, D / heads] once its result is split
into heads."""

from typing import TYPE_CHECKING

import numpy as np

from ..ops import attrs_of, shape_of

if TYPE_CHECKING:
    from tvm import relax

    from ..annotate.graph import Node


def labels_along(numbers: np.ndarray, rank: int, axis: int) -> np.ndarray:
    """Labels of channels that run along one axis of a tensor."""
    shape = [1] * rank
    shape[axis] = -1
    return numbers.reshape(shape)


def only_axis(labels: np.ndarray, axis: int) -> bool:
    """Whether the channel changes along this axis at most."""
    return all(extent == 1 for i, extent in enumerate(labels.shape) if i != axis % labels.ndim)


def compressed(labels: np.ndarray) -> np.ndarray:
    """The labels with extent 1 wherever the channel does not change."""
    for axis, extent in enumerate(labels.shape):
        first = labels.take([0], axis)
        if extent > 1 and np.array_equal(np.broadcast_to(first, labels.shape), labels):
            labels = first
    return labels


def reshaped_labels(labels: np.ndarray, old: tuple[int, ...], new: tuple[int, ...]) -> np.ndarray:
    """Labels of a tensor behind a reshape."""
    return compressed(np.broadcast_to(labels, old).reshape(new))


def permuted_labels(labels: np.ndarray, node: "Node") -> np.ndarray:
    """Labels of a tensor behind a permutation of its axes."""
    axes = attrs_of(node.value)["axes"]
    return labels.transpose(axes if axes is not None else None)


def pooled_labels(labels: np.ndarray) -> np.ndarray | None:
    """The labels behind windows over the pixels of an image."""
    return labels if labels.ndim == 4 and labels.shape[2:] == (1, 1) else None


def reduced_labels(labels: np.ndarray, node: "Node") -> np.ndarray | None:
    """A mean or sum over axes along which the channel does not change."""
    attrs = attrs_of(node.value)
    axes = (
        tuple(axis % labels.ndim for axis in attrs["axis"]) if attrs["axis"] is not None else tuple(range(labels.ndim))
    )
    if any(labels.shape[axis] != 1 for axis in axes):
        return None
    return labels if attrs["keepdims"] else labels.squeeze(axes)


def padded_labels(labels: np.ndarray, node: "Node") -> np.ndarray | None:
    """The labels behind a padding: zeros have any factor, but only axes without channels may grow."""
    attrs = attrs_of(node.value)
    grows = [before or after for before, after in zip(attrs["pad_width"][0::2], attrs["pad_width"][1::2])]
    zeros = attrs["pad_mode"] != "constant" or attrs["pad_value"] == 0
    return labels if zeros and not any(grow and extent > 1 for grow, extent in zip(grows, labels.shape)) else None


def sliced_labels(labels: np.ndarray, node: "Node") -> np.ndarray:
    """The labels behind relax.strided_slice."""
    axes, begin, end, *strides = ([int(v.value) for v in arg.fields] for arg in node.value.args[1:])
    for axis, start, stop, step in zip(axes, begin, end, strides[0] if strides else [1] * len(axes)):
        size = labels.shape[axis]
        if size > 1:
            kept = slice(start, None if step < 0 and stop < -size else stop, step)
            labels = labels[(slice(None),) * axis + (kept,)]
    return compressed(labels)


def labels_of_pieces(labels: np.ndarray, node: "Node") -> list[np.ndarray]:
    """The labels of each part behind relax.split."""
    axis, start, found = attrs_of(node.value)["axis"] % labels.ndim, 0, []
    for part in node.var.ty.fields:
        extent = int(part.shape.values[axis])
        place = (slice(None),) * axis + (slice(start, start + extent),)
        found.append(labels if labels.shape[axis] == 1 else compressed(labels[place]))
        start += extent
    return found


def joined_labels(parts: list[np.ndarray], shapes: list[tuple[int, ...]], axis: int) -> np.ndarray:
    """The labels behind relax.concat."""
    rank = parts[0].ndim
    widest = [max(part.shape[i] for part in parts) for i in range(rank)]
    full = [
        np.broadcast_to(part, [shape[i] if i == axis else widest[i] for i in range(rank)])
        for part, shape in zip(parts, shapes)
    ]
    return compressed(np.concatenate(full, axis))


def constant_along(constant: "relax.Expr", shape: tuple[int, ...], channel: int) -> int | None:
    """The constant's axis that has one value per element of axis `channel` of a tensor of `shape`, if it varies along
    no other."""
    own = shape_of(constant)
    axis = channel - (len(shape) - len(own))
    if axis < 0 or any(extent != (shape[channel] if i == axis else 1) for i, extent in enumerate(own)):
        return None
    return axis


def constant_per_channel(constant: "relax.Expr", numbers: np.ndarray, shape: tuple[int, ...]) -> int | None:
    """The axis of a constant that has one value for each of the channels that `numbers` label; None without one."""
    axes = [i for i, extent in enumerate(numbers.shape) if extent > 1] or [1 if len(shape) == 4 else len(shape) - 1]
    return constant_along(constant, shape, axes[0]) if len(axes) == 1 and numbers.size == shape[axes[0]] else None
