"""Normalisations at inference: BatchNormalization for canonicalize to fold, the others as R.nn.layer_norm over the last
axis of a reshaped tensor."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from tvm import relax

from ...targets.errors import UnsupportedModelError

if TYPE_CHECKING:
    from .node import OnnxNode


def batch_norm(node: "OnnxNode") -> relax.TupleGetItem:
    """The first field of R.nn.batch_norm; training mode and its further outputs are refused."""
    if node.attrs.get("training_mode", 0) or node.outputs > 1:
        raise UnsupportedModelError("is in training mode; export the network for inference")
    out = relax.op.nn.batch_norm(*node.inputs, axis=1, epsilon=float(node.attrs.get("epsilon", 1e-5)), training=False)
    return relax.TupleGetItem(node.emit(out, "statistics"), 0)


def instance_norm(node: "OnnxNode") -> relax.Var:
    """Normalises each channel of each sample on its own, then a factor and a term per channel."""
    n, c, *_ = node.shape(0)
    return _grouped(node, [n, c, -1])


def group_norm(node: "OnnxNode") -> relax.Var:
    """Groups of channels; scale and bias are per group before opset 21, per channel since."""
    return _grouped(node, [node.shape(0)[0], int(node.attrs["num_groups"]), -1])


def _grouped(node: "OnnxNode", rows: list[int]) -> relax.Var:
    """layer_norm over the last axis of x reshaped to `rows`, back in x's shape, times scale plus bias, both [C]."""
    shape = node.shape(0)
    rows = [*rows[:-1], math.prod(shape) // math.prod(rows[:-1])]
    flat = node.emit(relax.op.reshape(node.inputs[0], rows), "rows")
    normal = node.emit(_unit_norm(flat, rows[-1], node))
    back = node.emit(relax.op.reshape(normal, shape), "back")
    scaled = node.emit(relax.op.multiply(back, _per_channel(node, 1, "scale_of_channel")), "scale")
    return node.emit(relax.op.add(scaled, _per_channel(node, 2, "bias_of_channel")), "bias")


def _per_channel(node: "OnnxNode", index: int, name: str) -> relax.Expr:
    """An input with a value per channel, or per group of channels, so that it broadcasts along the image."""
    _, c, *image = node.shape(0)
    times = c // node.shape(index)[0]
    if node.arrays[index] is not None:
        return relax.const(np.repeat(node.arrays[index], times).reshape([1, -1] + [1] * len(image)))
    value = node.inputs[index]
    value = value if times == 1 else node.emit(relax.op.repeat(value, times, 0), f"{name}.repeated")
    return node.emit(relax.op.reshape(value, [1, c] + [1] * len(image)), name)


def layer_norm(node: "OnnxNode") -> relax.Expr:
    """Over the last axes, [y, mean, 1 / sqrt(variance + epsilon)] where the statistics are outputs too; several axes
    through a reshape. Scale and bias that are computed at run time are a product and a sum behind it."""
    shape = node.shape(0)
    axis = node.axis(-1)
    width, epsilon = math.prod(shape[axis:]), float(node.attrs.get("epsilon", 1e-5))
    rows, affine = [*shape[:axis], width], [i for i in (1, 2) if node.has(i)]
    x = node.inputs[0] if axis == len(shape) - 1 else node.emit(relax.op.reshape(node.inputs[0], rows), "rows")
    known = all(node.arrays[i] is not None for i in affine)
    scale, bias = (_over(node, i, shape[axis:], default, known) for i, default in ((1, 1.0), (2, 0.0)))
    y = node.emit(relax.op.nn.layer_norm(x, scale, bias, [-1], epsilon))
    y = y if axis == len(shape) - 1 else node.emit(relax.op.reshape(y, shape), "back")
    for i, op in zip((1, 2), (relax.op.multiply, relax.op.add)):
        y = node.emit(op(y, node.inputs[i]), ("scaled", "biased")[i - 1]) if i in affine and not known else y
    if node.outputs == 1:
        return y
    statistics = _statistics(node, x, [*shape[:axis], *[1] * (len(shape) - axis)], epsilon)
    return relax.Tuple([y, *statistics][: node.outputs])


def _over(node: "OnnxNode", index: int, shape: list[int], default: float, known: bool) -> relax.Expr:
    """A known scale or bias for each element of `shape`, flat; otherwise the default."""
    value = node.arrays[index] if known and node.has(index) else np.float32(default)
    return relax.const(np.broadcast_to(value, shape).reshape(-1).astype("float32"))


def _statistics(node: "OnnxNode", rows: relax.Expr, shape: Sequence[int], epsilon: float) -> list[relax.Var]:
    """Mean and 1 / sqrt(variance + epsilon) over the last axis of `rows`, in `shape`."""
    mean = node.emit(relax.op.mean(rows, [-1], keepdims=True), "mean")
    apart = node.emit(relax.op.subtract(rows, mean), "apart")
    squares = node.emit(relax.op.multiply(apart, apart), "squares")
    variance = node.emit(relax.op.mean(squares, [-1], keepdims=True), "variance")
    above = node.emit(relax.op.add(variance, relax.const(np.float32(epsilon))), "above_zero")
    deviation = node.emit(relax.op.sqrt(above), "deviation")
    inverse = node.emit(relax.op.divide(relax.const(np.float32(1)), deviation), "inverse")
    named = {"mean_out": mean, "inverse_out": inverse}
    return [node.emit(relax.op.reshape(each, shape), name) for name, each in named.items()]


def rms_norm(node: "OnnxNode") -> relax.Expr:
    """x / sqrt(mean(x * x) + epsilon) * scale over the last axes: R.nn.rms_norm over the last axis of rows. A scale
    computed at run time is a product behind it."""
    shape = node.shape(0)
    axis, known = node.axis(-1), node.arrays[1] is not None
    width = math.prod(shape[axis:])
    scale, rows = _over(node, 1, shape[axis:], 1.0, known), [*(shape[:axis] or [1]), width]
    as_it_is = axis == len(shape) - 1 > 0
    x = node.inputs[0] if as_it_is else node.emit(relax.op.reshape(node.inputs[0], rows), "rows")
    y = node.emit(relax.op.nn.rms_norm(x, scale, [-1], float(node.attrs.get("epsilon", 1e-5))))
    y = y if as_it_is else node.emit(relax.op.reshape(y, shape), "back")
    return y if known else relax.op.multiply(y, node.inputs[1])


def lp_norm(node: "OnnxNode") -> relax.Call:
    """x / (sum of |x|^p)^(1/p) along an axis; zeros where the norm is 0."""
    x, axis, p = node.inputs[0], node.axis(-1), int(node.attrs.get("p", 2))
    size = node.emit(relax.op.multiply(x, x) if p == 2 else relax.op.abs(x), "size")
    norm = node.emit(relax.op.sum(size, [axis], keepdims=True), "sum")
    norm = node.emit(relax.op.sqrt(norm), "norm") if p == 2 else norm
    least = relax.const(np.finfo(np.float32).tiny)
    return relax.op.divide(x, node.emit(relax.op.maximum(norm, least), "above_zero"))


def _unit_norm(x: relax.Expr, width: int, node: "OnnxNode") -> relax.Call:
    ones, zeros = relax.const(np.ones(width, "float32")), relax.const(np.zeros(width, "float32"))
    return relax.op.nn.layer_norm(x, ones, zeros, [-1], float(node.attrs.get("epsilon", 1e-5)))


CONVERTERS = {
    "BatchNormalization": batch_norm,
    "InstanceNormalization": instance_norm,
    "GroupNormalization": group_norm,
    "LayerNormalization": layer_norm,
    "RMSNormalization": rms_norm,
    "LpNormalization": lp_norm,
}
