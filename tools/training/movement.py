"""Operators that only move data, in PyTorch: function(args, attrs, call) -> tensor (a tuple of them for a split).

Most are one gather whose places the referee itself says: it moves the numbers of the elements instead of the elements.
"""

import numpy as np
import torch
from torch.nn import functional as F

from ...passes.operators.registry import operators
from ...passes.ops import shape_of
from ...passes.referee.conv import ceil_padding
from ...passes.referee.reference import evaluate
from .integer import on_images

_VIEWS = operators(lambda traits: traits.view) & {
    "relax.reshape",
    "relax.flatten",
    "relax.expand_dims",
    "relax.squeeze",
    "relax.nn.batch_flatten",
}
_GATHERED = {
    f"relax.{name}"
    for name in ("strided_slice", "stack", "repeat", "tile", "flip", "broadcast_to", "image.resize2d", "split")
}


def _view(args, attrs, call):
    return args[0].reshape(args[0].shape[0], *shape_of(call))


def _permute(args, attrs, call):
    rank = args[0].dim() - 1
    axes = attrs["axes"] if attrs["axes"] is not None else range(rank)[::-1]
    return args[0].permute(0, *(axis % rank + 1 for axis in axes))


def _concat(args, attrs, call):
    parts = args[0]
    count = max(part.shape[0] for part in parts)
    axis = attrs["axis"] or 0
    return torch.cat([part.expand(count, *part.shape[1:]) for part in parts], axis if axis < 0 else axis + 1)


def _pad(args, attrs, call):
    (data,), widths = args[:1], attrs["pad_width"]
    if attrs["pad_mode"] != "constant":
        return _gathered(args, attrs, call)
    pairs = list(zip(widths[0::2], widths[1::2]))[::-1]
    return F.pad(data, [extent for pair in pairs for extent in pair], value=float(np.asarray(attrs["pad_value"])))


def _max_pool2d(args, attrs, call):
    (data,) = args
    padding = ceil_padding(data.shape[3:], attrs["padding"], attrs) if attrs["ceil_mode"] else attrs["padding"]
    top, left, bottom, right = padding

    def largest(x):
        padded = F.pad(x, (left, right, top, bottom), value=float("-inf"))
        return F.max_pool2d(padded, attrs["pool_size"], attrs["strides"], dilation=attrs["dilation"])

    return on_images(largest, data)


def _interleave(args, attrs, call):
    (data,) = args
    result = data.new_full((data.shape[0], *shape_of(call)), float(attrs["fill"]))
    sh, sw = attrs["strides"]
    result[..., ::sh, ::sw] = data
    return result


def _depth_to_space(args, attrs, call):
    (data,) = args
    sh, sw = attrs["strides"]
    *samples, c, h, w = data.shape
    phases = data.reshape(*samples, sh, sw, c // (sh * sw), h, w).movedim((-5, -4), (-3, -1))
    return phases.reshape(data.shape[0], *shape_of(call))


def _frame(args, attrs, call):
    (data,) = args
    top, left, bottom, right = attrs["padding"]
    *_, h, w = shape_of(call)
    fill = data.new_tensor(attrs["fill"]).reshape(-1, 1, 1)
    result = fill.expand(data.shape[0], *shape_of(call)).clone()
    result[..., top : h - bottom, left : w - right] = data
    return result


def _gathered(args, attrs, call):
    """The elements where the referee puts their numbers."""
    operands = args[0] if isinstance(args[0], tuple) else args[:1]
    count = max(x.shape[0] for x in operands)
    flat = torch.cat([x.expand(count, *x.shape[1:]).flatten(1) for x in operands], 1)
    numbers, first = [], 0
    for x in operands:
        size = int(np.prod(x.shape[1:], dtype=np.int64))
        numbers.append(np.arange(first, first + size).reshape(x.shape[1:]))
        first += size
    moved = evaluate(call, [tuple(numbers) if isinstance(args[0], tuple) else numbers[0], *args[1:]])
    return tuple(_taken(flat, part) for part in moved) if isinstance(moved, tuple) else _taken(flat, moved)


def _taken(flat, places):
    index = torch.from_numpy(np.ascontiguousarray(places).reshape(-1)).to(flat.device)
    return flat.index_select(1, index).reshape(flat.shape[0], *places.shape)


def _looked_up(args, attrs, call):
    """take and gather_elements: the places may differ from sample to sample."""
    data, places = args
    count = max(data.shape[0], places.shape[0])
    numbers = np.arange(int(np.prod(data.shape[1:], dtype=np.int64))).reshape(data.shape[1:])
    found = np.stack([evaluate(call, [numbers, one]) for one in places.cpu().numpy()])
    index = torch.from_numpy(found.reshape(len(found), -1)).to(data.device).expand(count, -1)
    flat = data.flatten(1).expand(count, -1)
    return torch.gather(flat, 1, index).reshape(count, *found.shape[1:])


MOVEMENT = (
    dict.fromkeys(_VIEWS, _view)
    | dict.fromkeys(_GATHERED, _gathered)
    | {
        "relax.permute_dims": _permute,
        "relax.take": _looked_up,
        "relax.gather_elements": _looked_up,
        "relax.concat": _concat,
        "relax.nn.pad": _pad,
        "relax.nn.max_pool2d": _max_pool2d,
        "octet.interleave": _interleave,
        "octet.depth_to_space": _depth_to_space,
        "octet.frame": _frame,
    }
)
