"""Operators of the referee that only move data: any dtype, any scale."""

from typing import Literal

import numpy as np

from ...targets.seams import Attrs
from .conv import ceil_padding, windows
from .resize import resize2d
from .values import Values

_MODES: dict[str, Literal["reflect", "edge", "wrap"]] = {
    "reflect": "reflect",
    "replicate": "edge",
    "circular": "wrap",
    "edge": "edge",
}


def _pad(args: Values, attrs: Attrs) -> np.ndarray:
    before, after = attrs["pad_width"][0::2], attrs["pad_width"][1::2]
    widths = list(zip(before, after))
    if attrs["pad_mode"] == "constant":
        return np.pad(args[0], widths, constant_values=np.asarray(attrs["pad_value"]).astype(args[0].dtype))
    return np.pad(args[0], widths, mode=_MODES[attrs["pad_mode"]])


def _max_pool2d(args: Values, attrs: Attrs) -> np.ndarray:
    (data,) = args
    assert attrs["layout"] == "NCHW", attrs["layout"]
    lowest = -np.inf if data.dtype.kind == "f" else np.iinfo(data.dtype).min
    padding = list(attrs["padding"])
    if attrs["ceil_mode"]:
        padding = ceil_padding(data.shape[2:], padding, attrs)
    return windows(data, attrs["pool_size"], attrs["strides"], padding, attrs["dilation"], lowest).max(axis=(4, 5))


def _interleave(args: Values, attrs: Attrs) -> np.ndarray:
    (data,), (sh, sw) = args, attrs["strides"]
    n, c, h, w = data.shape
    result = np.full((n, c, (h - 1) * sh + 1, (w - 1) * sw + 1), attrs["fill"], data.dtype)
    result[:, :, ::sh, ::sw] = data
    return result


def _depth_to_space(args: Values, attrs: Attrs) -> np.ndarray:
    (data,), (sh, sw) = args, attrs["strides"]
    n, c, h, w = data.shape
    phases = data.reshape(n, sh, sw, c // (sh * sw), h, w).transpose(0, 3, 4, 1, 5, 2)
    return phases.reshape(n, c // (sh * sw), h * sh, w * sw)


def _frame(args: Values, attrs: Attrs) -> np.ndarray:
    (data,), (top, left, bottom, right) = args, attrs["padding"]
    n, c, h, w = data.shape
    result = np.empty((n, c, top + h + bottom, left + w + right), data.dtype)
    result[:] = np.array(attrs["fill"], data.dtype).reshape(c, 1, 1)
    result[:, :, top : top + h, left : left + w] = data
    return result


def _strided_slice(args: Values, attrs: Attrs) -> np.ndarray:
    data, axes, begin, end, *strides = args
    strides = strides[0] if strides else [1] * len(axes)
    index = [slice(None)] * data.ndim
    for axis, first, last, step in zip(axes, begin, end, strides):
        size = data.shape[axis]
        if step > 0:
            index[axis] = slice(first, last, step)
        else:  # A negative end that lies before the first element means down to the first element.
            first = min(first + size if first < 0 else first, size - 1)
            last = last + size if last < 0 else last
            index[axis] = slice(first, None if last < 0 else last, step)
    return data[tuple(index)]


def _split(args: Values, attrs: Attrs) -> tuple[np.ndarray, ...]:
    sections, axis = attrs["indices_or_sections"], attrs["axis"]
    if isinstance(sections, int):  # The parts have ceil(size / sections) each, only the last one less.
        size = args[0].shape[axis]
        part = -(-size // sections)
        sections = list(range(part, size, part))
    return tuple(np.split(args[0], sections, axis))


def _squeeze(args: Values, attrs: Attrs) -> np.ndarray:
    axes = attrs["axis"]
    return np.squeeze(args[0], None if axes is None else tuple(axes))


def _expand_dims(args: Values, attrs: Attrs) -> np.ndarray:
    return np.expand_dims(args[0], tuple(attrs["axis"]))


def _permute_dims(args: Values, attrs: Attrs) -> np.ndarray:
    return np.transpose(args[0], attrs["axes"])


def _take(args: Values, attrs: Attrs) -> np.ndarray:
    data, indices = args
    axis = attrs["axis"]
    size = data.size if axis is None else data.shape[axis]
    if attrs["mode"] == "clip":
        return np.take(data, indices, axis, mode="clip")
    return np.take(data, np.where(indices < 0, indices + size, indices), axis)


MOVEMENT = {
    "octet.observe": lambda args, attrs: args[0],
    "octet.interleave": _interleave,
    "octet.depth_to_space": _depth_to_space,
    "octet.frame": _frame,
    "relax.reshape": lambda args, attrs: args[0].reshape(args[1]),
    "relax.flatten": lambda args, attrs: args[0].reshape(-1),
    "relax.nn.batch_flatten": lambda args, attrs: args[0].reshape(len(args[0]), -1),
    "relax.broadcast_to": lambda args, attrs: np.broadcast_to(args[0], args[1]).copy(),
    "relax.permute_dims": _permute_dims,
    "relax.squeeze": _squeeze,
    "relax.expand_dims": _expand_dims,
    "relax.concat": lambda args, attrs: np.concatenate(args[0], 0 if attrs["axis"] is None else attrs["axis"]),
    "relax.stack": lambda args, attrs: np.stack(args[0], 0 if attrs["axis"] is None else attrs["axis"]),
    "relax.repeat": lambda args, attrs: np.repeat(args[0], attrs["repeats"], attrs["axis"]),
    "relax.tile": lambda args, attrs: np.tile(args[0], attrs["repeats"]),
    "relax.flip": lambda args, attrs: np.flip(args[0], attrs["axis"]),
    "relax.strided_slice": _strided_slice,
    "relax.split": _split,
    "relax.take": _take,
    "relax.gather_elements": lambda args, attrs: np.take_along_axis(args[0], args[1], attrs["axis"]),
    "relax.nn.pad": _pad,
    "relax.nn.max_pool2d": _max_pool2d,
    "relax.image.resize2d": resize2d,
}
