"""Weights, biases and multipliers in the order in which the kernels read them (done once, at compile time)."""

from dataclasses import dataclass

import numpy as np

from ...native.stream import aligned
from ..layout import STORED_OFFSET
from .problem import ConvProblem
from .walk import Walk, channel_span


def weight_matrix(p: ConvProblem, walk: Walk, weight: np.ndarray, block: int, align: int) -> np.ndarray:
    """OIHW weights -> [blocks][K][block]: for every block of output channels the taps of every run, each run padded
    with zeros to `align`.

    With groups a block reads `walk.span` input channels; those of other groups get the weight zero."""
    blocks = -(-p.out_channels // block)
    padded = [-(-run.length // align) * align for run in walk.runs]
    matrix = np.zeros((blocks, sum(padded), block), weight.dtype)
    ins, outs = p.channels // p.groups, p.out_channels // p.groups
    _, a, b = channel_span(p, block)
    start = 0
    for run, length in zip(walk.runs, padded):
        for i, tap in enumerate(run.taps):
            if tap.row >= p.kernel[0]:
                continue
            columns = weight[:, :, tap.row, tap.column]  # The axes are [O, I / groups].
            for o in range(p.out_channels):
                first = o // outs * ins - (o // block // a) * b if p.groups > 1 else 0
                at = start + i * walk.span + first
                matrix[o // block, at : at + ins, o % block] = columns[o]
        start += length
    return matrix


def pack_amx(matrix: np.ndarray, out_blocks: int) -> np.ndarray:
    """[blocks][K][32] -> per block and 64-byte step two tiles [16][16 channels][4 inputs, of bfloat16 2]; an odd last
    block has one tile."""
    blocks, k, _ = matrix.shape
    inputs = 4 // matrix.itemsize
    tiles = matrix.reshape(blocks, k // (16 * inputs), 16, inputs, 2, 16).transpose(0, 1, 4, 2, 5, 3)
    if out_blocks % 2 == 0:
        return tiles.reshape(-1).copy()
    return np.concatenate([tiles[:-1].reshape(-1), tiles[-1, :, 0].reshape(-1)])


def tap_matrix(p: ConvProblem, weight: np.ndarray, block: int, align: int) -> np.ndarray:
    """OIHW weights -> [blocks][kh * kw * channels][block], the channels of each tap padded with zeros to `align`;
    groups as in `weight_matrix`."""
    span, a, b = channel_span(p, block)
    padded = -(-span // align) * align
    kh, kw = p.kernel
    ins, outs = p.channels // p.groups, p.out_channels // p.groups
    matrix = aligned((-(-p.out_channels // block), kh * kw, padded, block), weight.dtype)
    if padded > ins or p.out_channels % block or p.groups > 1:
        matrix[:] = 0
    taps = weight.transpose(0, 2, 3, 1).reshape(p.out_channels, kh * kw, ins)
    if p.groups == 1:
        for number, first in enumerate(range(0, p.out_channels, block)):
            some = taps[first : first + block]
            matrix[number, :, :ins, : len(some)] = some.transpose(1, 2, 0)
        return matrix.reshape(matrix.shape[0], -1, block)
    for o in range(p.out_channels):
        first = o // outs * ins - (o // block // a) * b
        matrix[o // block, :, first : first + ins, o % block] = taps[o]
    return matrix.reshape(matrix.shape[0], -1, block)


def pad_rows(matrix: np.ndarray, rows: int, length: int) -> np.ndarray:
    """[blocks][kernel rows * K][block] -> the same with zeros behind the K elements of every kernel row, up to
    `length`."""
    blocks, elements, block = matrix.shape
    if elements == rows * length:
        return matrix
    matrix = matrix.reshape(blocks, rows, elements // rows, block)
    return np.pad(matrix, ((0, 0), (0, 0), (0, length - matrix.shape[2]), (0, 0))).reshape(blocks, -1, block)


def pack_direct(matrix: np.ndarray, step: int) -> np.ndarray:
    """[blocks][K][block] -> [blocks][K / step][block][step]: the order of VPDPBUSD (step 4) or of plain vectors (step
    1)."""
    blocks, k, block = matrix.shape
    return np.ascontiguousarray(matrix.reshape(blocks, k // step, step, block).transpose(0, 1, 3, 2)).reshape(-1)


@dataclass(frozen=True)
class StepList:
    """What `listed.py` reads: table, int32: for every block its STEP_HEADER numbers (first byte of its weights, first
    entry, safe steps, other steps), then the entries: offsets of steps from a tile's first element. weights, s8: per
    block the safe steps [block][4 inputs], then the others, as bytes of int16 [inputs 0 and 1, inputs 2 and
    3][block][2]. unsafe: number of those others."""

    table: np.ndarray
    weights: np.ndarray
    unsafe: int


STEP_HEADER = 4
_PAIR_LIMIT = 128  # With pairs of weights up to this sum 255 * 128 stays below 2**15.


def pack_steps(p: ConvProblem, matrix: np.ndarray, width: int) -> StepList:
    """tap_matrix(.., align=4), s8 [blocks][K][block] -> lists. width: of the padded image. Steps whose weights are all
    zero are left out."""
    blocks, k, block = matrix.shape
    taps = p.kernel[0] * p.kernel[1]
    steps = matrix.reshape(blocks, k // 4, 4, block).transpose(0, 1, 3, 2)  # The axes are [blocks][step][block][4].
    row, column = np.divmod(np.arange(taps), p.kernel[1])
    pixels = (row * p.dilation[0] * width + column * p.dilation[1]) * p.data_stride
    offsets = (pixels[:, None] + 4 * np.arange(k // taps // 4)).reshape(-1)
    _, a, b = channel_span(p, block)
    headers, weights, start, unsafe = [], [], 0, 0
    entries: list[np.ndarray] = []
    for i, listed in enumerate(steps):
        pairs = listed.reshape(-1, 2 * block, 2).astype(np.int16)
        exact = ((np.maximum(pairs, 0).sum(2) <= _PAIR_LIMIT) & (np.minimum(pairs, 0).sum(2) >= -_PAIR_LIMIT)).all(1)
        used = listed.any((1, 2))
        safe, others = np.flatnonzero(used & exact), np.flatnonzero(used & ~exact)
        wide = listed[others].reshape(-1, block, 2, 2).transpose(0, 2, 1, 3).astype("<i2")
        first = i // a * b if p.groups > 1 else 0
        headers.append([start, blocks * STEP_HEADER + sum(map(len, entries)), len(safe), len(others)])
        entries.append(offsets[np.concatenate([safe, others])] + first)
        weights += [
            np.ascontiguousarray(listed[safe]).reshape(-1),
            np.ascontiguousarray(wide).view(np.int8).reshape(-1),
        ]
        start, unsafe = start + weights[-2].size + weights[-1].size, unsafe + len(others)
    return StepList(
        np.concatenate([np.array(headers).reshape(-1), *entries]).astype(np.int32),
        np.concatenate([*weights, np.zeros(64, np.int8)]),
        unsafe,
    )


def fold_bias(p: ConvProblem, weight: np.ndarray, bias: np.ndarray, offset: int = STORED_OFFSET) -> np.ndarray:
    """s32 bias for u8 data: sum((q - z) * w) + b = sum(u8 * w) + (b - (z + 128) * sum(w)) (modulo 2**32). offset: 128,
    or 0 for a kernel that multiplies s8 data."""
    stored = p.data_zero_point + offset
    folded = bias.astype(np.int64) - stored * weight.astype(np.int64).sum(axis=(1, 2, 3))
    return folded.astype(np.uint64).astype(np.uint32).view(np.int32)


def pack_channels(values: np.ndarray, block: int) -> np.ndarray:
    """One value per output channel, padded with zeros to whole blocks."""
    return np.pad(values, (0, -len(values) % block))
