"""Normalisations at inference: BatchNormalization for canonicalize to fold, the others as R.nn.layer_norm over the last axis of a reshaped tensor."""

import math

import numpy as np
from tvm import relax

from ...targets.errors import UnsupportedModelError


def batch_norm(node):
    """The first field of R.nn.batch_norm; training mode and its further outputs are refused."""
    if node.attrs.get("training_mode", 0) or node.outputs > 1:
        raise UnsupportedModelError("is in training mode; export the network for inference")
    out = relax.op.nn.batch_norm(*node.inputs, axis=1, epsilon=float(node.attrs.get("epsilon", 1e-5)), training=False)
    return relax.TupleGetItem(node.emit(out, "statistics"), 0)


def instance_norm(node):
    """Each channel of each sample on its own, then a factor and a term per channel."""
    n, c, *_ = node.shape(0)
    return _grouped(node, [n, c, -1], node.array(1, "scale"), node.array(2, "bias"))


def group_norm(node):
    """Groups of channels; scale and bias are per group before opset 21, per channel since."""
    (n, c, *_), groups = node.shape(0), int(node.attrs["num_groups"])
    scale, bias = (np.repeat(v, c // v.size) for v in (node.array(1, "scale"), node.array(2, "bias")))
    return _grouped(node, [n, groups, -1], scale, bias)


def _grouped(node, rows, scale, bias):
    """layer_norm over the last axis of x reshaped to `rows`, back in x's shape, times scale plus bias, both [C]."""
    shape = node.shape(0)
    rows = [*rows[:-1], math.prod(shape) // math.prod(rows[:-1])]
    flat = node.emit(relax.op.reshape(node.inputs[0], rows), "rows")
    normal = node.emit(_unit_norm(flat, rows[-1], node))
    back = node.emit(relax.op.reshape(normal, shape), "back")
    channel = [1, -1] + [1] * (len(shape) - 2)
    scaled = node.emit(relax.op.multiply(back, relax.const(scale.reshape(channel))), "scale")
    return node.emit(relax.op.add(scaled, relax.const(bias.reshape(channel))), "bias")


def layer_norm(node):
    """Over the last axis; over several last axes through a reshape, where scale and bias are known. The statistics as outputs are refused."""
    if node.outputs > 1:
        raise UnsupportedModelError("has its statistics as outputs; export the network for inference")
    shape = node.shape(0)
    axis = node.attrs.get("axis", -1) % len(shape)
    scale, bias = node.arrays[1], node.arrays[2] if node.has(2) else np.zeros(shape[axis:], "float32")
    if scale is None or bias is None:
        return None
    width = math.prod(shape[axis:])
    scale, bias = (relax.const(np.broadcast_to(v, shape[axis:]).reshape(width).copy()) for v in (scale, bias))
    x = node.inputs[0] if axis == len(shape) - 1 else node.emit(relax.op.reshape(node.inputs[0], [*shape[:axis], width]), "rows")
    out = node.emit(relax.op.nn.layer_norm(x, scale, bias, [-1], float(node.attrs.get("epsilon", 1e-5))))
    return out if axis == len(shape) - 1 else node.emit(relax.op.reshape(out, shape), "back")


def _unit_norm(x, width, node):
    ones, zeros = relax.const(np.ones(width, "float32")), relax.const(np.zeros(width, "float32"))
    return relax.op.nn.layer_norm(x, ones, zeros, [-1], float(node.attrs.get("epsilon", 1e-5)))


CONVERTERS = {
    "BatchNormalization": batch_norm,
    "InstanceNormalization": instance_norm,
    "GroupNormalization": group_norm,
    "LayerNormalization": layer_norm,
}
