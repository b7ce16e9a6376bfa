"""Normalizations of the referee, each a documented sequence of operations."""

from collections.abc import Sequence

import numpy as np

from ...targets.seams import Attrs
from .sums import F32, sum16
from .values import Values


def normalize(rows: np.ndarray, epsilon: float) -> np.ndarray:
    """(x - mean) * (1 / sqrt(variance + epsilon)) over the last axis; variance = mean of squared differences."""
    count = F32(rows.shape[-1])
    centred = rows - sum16(rows) / count
    variance = sum16(centred * centred) / count
    return centred * (F32(1.0) / np.sqrt(variance + F32(epsilon)))


def layer_norm(args: Values, attrs: Attrs) -> np.ndarray:
    """Layer normalisation: normalise, * gamma, + beta, each rounded on its own."""
    x, *affine = args
    axes = sorted(axis % x.ndim for axis in attrs["axes"])
    assert axes == list(range(x.ndim - len(axes), x.ndim)), f"layer_norm over axes {axes} of {x.ndim}"
    value = normalize(x.reshape(*x.shape[: axes[0]], -1), attrs["epsilon"]).reshape(x.shape)
    value = value * affine[0] if attrs["scale"] else value
    return value + affine[1] if attrs["center"] else value


def batch_norm(args: Values, attrs: Attrs) -> tuple[np.ndarray, ...]:
    """Batch normalisation with the given mean and variance, which are results, too."""
    x, gamma, beta, mean, variance = args
    shape = [1] * x.ndim
    shape[attrs["axis"]] = -1
    value = (x - mean.reshape(shape)) / np.sqrt(variance.reshape(shape) + F32(attrs["epsilon"]))
    value = value * gamma.reshape(shape) if attrs["scale"] else value
    return (value + beta.reshape(shape) if attrs["center"] else value), mean, variance


def group_norm(args: Values, attrs: Attrs) -> np.ndarray:
    """Group normalisation over groups of channels and the axes of `attrs`."""
    x, *affine = args
    channel, groups = attrs["channel_axis"] % x.ndim, attrs["num_groups"]
    grouped = x.reshape(*x.shape[:channel], groups, x.shape[channel] // groups, *x.shape[channel + 1 :]).astype(
        np.float64
    )
    axes = (channel + 1, *(axis % x.ndim + 1 for axis in attrs["axes"]))
    centred = grouped - grouped.mean(axis=axes, keepdims=True)
    value = (centred / np.sqrt((centred * centred).mean(axis=axes, keepdims=True) + attrs["epsilon"])).reshape(x.shape)
    return _affine(value, affine, attrs, channel)


def instance_norm(args: Values, attrs: Attrs) -> np.ndarray:
    """Instance normalisation over the axes of `attrs` of each channel of each sample, in float64."""
    x, *affine = args
    axes = tuple(axis % x.ndim for axis in attrs["axes"])
    centred = x.astype(np.float64) - x.astype(np.float64).mean(axis=axes, keepdims=True)
    return _affine(
        centred / np.sqrt((centred * centred).mean(axis=axes, keepdims=True) + attrs["epsilon"]),
        affine,
        attrs,
        attrs["channel_axis"] % x.ndim,
    )


def _affine(value: np.ndarray, affine: Sequence[np.ndarray], attrs: Attrs, channel: int) -> np.ndarray:
    """value * gamma + beta per channel, rounded once."""
    gamma, beta = (each.reshape([-1 if axis == channel else 1 for axis in range(value.ndim)]) for each in affine)
    value = value * gamma if attrs["scale"] else value
    return (value + beta if attrs["center"] else value).astype(F32)


def rms_norm(args: Values, attrs: Attrs) -> np.ndarray:
    """x * (1 / sqrt(mean(x * x) + epsilon)) * weight over the last axes, each rounded on its own."""
    x, weight = args
    axes = sorted(axis % x.ndim for axis in attrs["axes"])
    assert axes == list(range(x.ndim - len(axes), x.ndim)), f"rms_norm over axes {axes} of {x.ndim}"
    rows = x.reshape(*x.shape[: axes[0]], -1)
    inverse = F32(1.0) / np.sqrt(sum16(rows * rows) / F32(rows.shape[-1]) + F32(attrs["epsilon"]))
    return (rows * inverse).reshape(x.shape) * weight
