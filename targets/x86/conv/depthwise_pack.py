"""Constants of the depthwise kernels in the order in which those read them."""

import numpy as np

from ..isa import current
from ..layout import STORED_OFFSET
from .problem import ConvProblem


def channels_per_vector(p: ConvProblem) -> int:
    """Channels that one vector of the kernel has."""
    return 64 if p.dtype == "int8" else 16


def fold_of(p: ConvProblem) -> int:
    """Neighbouring pixels that a vector holds: their channels lie behind each other where the stride is one."""
    whole = p.dtype == "int8" and current().parts == 1 and p.strides[1] == 1 and p.out_stride in (16, 32)
    return 64 // p.out_stride if whole and min(p.width, p.out_width) >= 64 // p.out_stride else 1


def chunk_starts(p: ConvProblem) -> list[int]:
    """First channel of every vector of channels."""
    lanes = channels_per_vector(p)
    return [min(first, max(p.out_stride - lanes, 0)) for first in range(0, p.out_stride, lanes)]


def tap_groups(p: ConvProblem) -> list[list[tuple[int, int]]]:
    """The (row, column) taps that one multiplication takes at a time: up to four for int8, one for float32."""
    kh, kw = p.kernel
    if p.dtype == "float32":
        return [[(r, c)] for r in range(kh) for c in range(kw)]
    if kh == 1:
        return [[(0, c) for c in range(first, min(kw, first + 4))] for first in range(0, kw, 4)]
    return [[(r, c) for r in range(first, min(kh, first + 4))] for first in range(0, kh, 4) for c in range(kw)]


def pack_weights(p: ConvProblem, weight: np.ndarray) -> np.ndarray:
    """[C, 1, kh, kw] -> [chunk][group of taps][vector][lane][tap]; zero where there is no channel or tap. int8 without
    VPDPBUSD: int16 [chunk][group][vector][taps 0 and 2, taps 1 and 3][lane][2], the order of VPMADDWD on the even and
    odd bytes of a dword."""
    groups, chunks = tap_groups(p), len(chunk_starts(p))
    packed = np.zeros((chunks, len(groups), channels_per_vector(p), 4 if p.dtype == "int8" else 1), weight.dtype)
    for g, group in enumerate(groups):
        for t, (r, c) in enumerate(group):
            packed[:, g, :, t] = pack_channels(p, weight[:, 0, r, c]).reshape(chunks, -1)
    if p.dtype == "int8" and not current().vnni:
        packed = packed.reshape(chunks, len(groups), 4, 16, 2, 2).transpose(0, 1, 2, 5, 3, 4).astype(np.int16)
    return packed.reshape(-1)


def pack_channels(p: ConvProblem, values: np.ndarray) -> np.ndarray:
    """One value per channel in the order of the accumulators: int8 [chunk][vector][16], float32 [chunk][16]; padded
    with zeros."""
    lanes, fold = channels_per_vector(p), fold_of(p)
    padded = np.pad(values, (0, (p.out_stride if fold > 1 else max(lanes, p.out_stride)) - len(values)))
    padded = np.tile(padded, fold)
    chunks = np.stack([padded[first : first + lanes] for first in chunk_starts(p)])
    if p.dtype == "int8":
        chunks = chunks.reshape(-1, 4, 4, 4).transpose(0, 2, 1, 3)
    return chunks.reshape(-1).copy()


def pad_value(p: ConvProblem) -> float:
    """What padding holds: the stored zero point, or 0.0."""
    return p.data_zero_point + STORED_OFFSET if p.dtype == "int8" else 0.0
