"""DFT and STFT: products with known matrices, which stay in float, as a spectrum needs more than 8 bits.

X[k] = sum over n of x[n] * exp(-2 pi i n k / L)    ==>    [re, im] of all k = x @ [cos | -sin],
        complex x as pairs beside each other"""

import math
from typing import TYPE_CHECKING

import numpy as np
from tvm import relax

from ...targets.errors import UnsupportedModelError

if TYPE_CHECKING:
    from .node import OnnxNode

_LARGEST = 1 << 24  # The matrix of a transform has at most so many elements.


def dft(node: "OnnxNode") -> relax.Expr:
    """The Fourier transform along one axis of [.., 1] (real) or [.., 2] (complex), to [.., 2]."""
    shape, rank = node.shape(0), len(node.shape(0))
    length, along = node.array(1, "length"), node.array(2, "axis") if node.opset >= 20 else None
    axis = (
        int(along.reshape(-1)[0]) if along is not None else int(node.attrs.get("axis", -2 if node.opset >= 20 else 1))
    )
    axis, inverse, onesided = axis % rank, bool(node.attrs.get("inverse", 0)), bool(node.attrs.get("onesided", 0))
    if axis == rank - 1:
        raise UnsupportedModelError(
            "transforms along its pairs of real and imaginary parts; export it with another axis"
        )
    half = inverse and onesided
    points = (2 * (shape[axis] - 1) if half else shape[axis]) if length is None else int(length.reshape(-1)[0])
    _check_size(max(shape[axis], points), points)
    order = [*(i for i in range(rank - 1) if i != axis), axis, rank - 1]
    x = (
        node.inputs[0]
        if order == list(range(rank))
        else node.emit(relax.op.permute_dims(node.inputs[0], order), "turned")
    )
    outer = [shape[i] for i in order[:-2]]
    rows = node.emit(relax.op.reshape(x, [*outer, shape[axis] * shape[-1]]), "rows")
    if half:
        y, extents = _product(node, rows, _signal_of_half(shape[axis], points)), [points, 1]
    else:
        y, bins = _spectrum(node, rows, np.ones(shape[axis]), points, shape[-1] == 2, inverse, onesided)
        extents = [bins, 2]
    y = node.emit(relax.op.reshape(y, [*outer, *extents]), "pairs")
    return y if order == list(range(rank)) else relax.op.permute_dims(y, [order.index(i) for i in range(rank)])


def stft(node: "OnnxNode") -> relax.Call:
    """The spectra [B, frames, bins, 2] of frames of a signal [B, length(, 1 or 2)], each frame times a window."""
    shape, step = node.shape(0), int(node.array(1, "step").reshape(-1)[0])
    window, size = node.array(2, "window"), node.array(3, "length of a frame")
    if window is None and size is None:
        raise UnsupportedModelError("has neither a window nor the length of a frame; export it with one of them")
    size = len(window) if size is None else int(size.reshape(-1)[0])
    parts = shape[2] if len(shape) == 3 else 1
    frames = (shape[1] - size) // step + 1
    if frames < 1:
        raise UnsupportedModelError(f"has frames of {size} in a signal of {shape[1]}; export it for longer signals")
    _check_size(size, size)
    places = np.arange(frames)[:, None] * step + np.arange(size)
    flat = (
        node.inputs[0]
        if len(shape) == 2
        else node.emit(relax.op.reshape(node.inputs[0], [shape[0], shape[1] * parts]), "signal")
    )
    places = (places[..., None] * parts + np.arange(parts)).reshape(frames, size * parts)
    rows = node.emit(relax.op.take(flat, relax.const(places, "int64"), 1, mode="clip"), "frames")
    weights = np.ones(size) if window is None else np.asarray(window, np.float64).reshape(-1)
    y, bins = _spectrum(node, rows, weights, size, parts == 2, False, bool(node.attrs.get("onesided", 1)))
    return relax.op.reshape(y, [shape[0], frames, bins, 2])


def _spectrum(
    node: "OnnxNode",
    rows: relax.Var,
    window: np.ndarray,
    points: int,
    pairs: bool,
    inverse: bool,
    onesided: bool,
) -> tuple[relax.Var, int]:
    """([.., bins * 2], bins) of rows [.., n], or [.., n * 2] of pairs; points: L, up to which the signal is cut or
    filled with zeros."""
    bins, used = points // 2 + 1 if onesided else points, min(len(window), points)
    angle = 2 * math.pi / points * (np.outer(np.arange(used), np.arange(bins)) % points) * (1 if inverse else -1)
    wave = np.zeros((len(window), bins), complex)
    wave[:used] = window[:used, None] * np.exp(1j * angle) / (points if inverse else 1)
    real = np.stack([wave.real, wave.imag], -1)
    matrix = np.stack([real, np.stack([-wave.imag, wave.real], -1)], 1) if pairs else real
    return _product(node, rows, matrix.reshape(-1, bins * 2)), bins


def _signal_of_half(bins: int, points: int) -> np.ndarray:
    """[bins * 2, points]: the real signal of the first half of its spectrum; the other half is its mirror image."""
    wave = np.zeros((bins, points), complex)
    used = min(bins, points // 2 + 1)
    angle = 2 * math.pi / points * (np.outer(np.arange(used), np.arange(points)) % points)
    twice = np.where((np.arange(used) == 0) | (2 * np.arange(used) == points), 1, 2)
    wave[:used] = twice[:, None] * np.exp(1j * angle) / points
    return np.stack([wave.real, -wave.imag], 1).reshape(bins * 2, points)


def _product(node: "OnnxNode", rows: relax.Expr, matrix: np.ndarray) -> relax.Var:
    """rows @ matrix; `out_dtype` says that it stays in float."""
    return node.emit(relax.op.matmul(rows, relax.const(matrix.astype("float32")), out_dtype="float32"), "spectrum")


def _check_size(points: int, bins: int) -> None:
    if points * bins * 4 > _LARGEST:
        raise UnsupportedModelError(f"transforms {points} points, too many for a matrix; export it with shorter frames")


CONVERTERS = {"DFT": dft, "STFT": stft}
