"""The constants of a convolution as its kernels read them."""

from typing import TYPE_CHECKING

import numpy as np

from .conv_schedule import Tile, depth_of, rounded_up

if TYPE_CHECKING:
    from .conv import Conv


def folded_bias(
    p: "Conv",
    weight: np.ndarray,
    bias: np.ndarray,
    rows: slice | list[int] = slice(None),
    columns: slice | list[int] = slice(None),
) -> np.ndarray:
    """The bias with what the data's zero point adds through these rows and columns of the window."""
    return (
        bias.astype(np.int64) - p.zero_point * weight[:, :, rows][..., columns].sum(axis=(1, 2, 3), dtype=np.int64)
    ).astype(np.int32)


def classes(
    extent: int, step: int, padding: int, kernel: int, dilation: int, size: int, zero_point: int
) -> list[list[int]]:
    """As classes_of in device/conv.cuh computes them: which of `kernel` taps lie inside of an image of `size`, for each
    class of the `extent` lines of a result."""
    if zero_point == 0:
        return [list(range(kernel))]

    def inside(line: int) -> list[int]:
        return [tap for tap in range(kernel) if 0 <= line * step - padding + tap * dilation < size]

    before = min(-(-padding // step), extent)
    behind = extent - min(max(-(-(size + padding - (kernel - 1) * dilation) // step), 0), extent)
    if before + behind > extent:
        before, behind = extent, 0
    return [*map(inside, range(before)), list(range(kernel)), *map(inside, range(extent - behind, extent))]


def tiled_constants(
    p: "Conv", tile: Tile, weight: np.ndarray, bias: np.ndarray, multiplier: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """[groups][outputs rounded up to a tile][taps * channels rounded up to a stage]; a bias for every class of
    pixels."""
    outputs, channels = rounded_up(p.outputs, tile.columns), 4 if p.stride == 4 else rounded_up(p.channels, 16)
    taps = np.zeros((p.groups, outputs, p.kernel_height, p.kernel_width, channels), np.int8)
    taps[:, : p.outputs, ..., : p.channels] = weight.reshape(p.groups, p.outputs, *weight.shape[1:]).transpose(
        0, 1, 3, 4, 2
    )
    rows = np.zeros((p.groups, outputs, rounded_up(depth_of(p), tile.depth)), np.int8)
    rows[..., : depth_of(p)] = taps.reshape(p.groups, outputs, -1)
    if tile.in_turns:
        rows = _as_staged(rows, tile)
    down = classes(p.out_height, p.step_height, p.top, p.kernel_height, p.dilation_height, p.height, p.zero_point)
    across = classes(p.out_width, p.step_width, p.left, p.kernel_width, p.dilation_width, p.width, p.zero_point)
    biases = [
        _per_group(p, folded_bias(p, weight, bias, inside, beside), outputs) for inside in down for beside in across
    ]
    return rows, np.stack(biases, 1), _per_group(p, multiplier, outputs)


def _as_staged(rows: np.ndarray, tile: Tile) -> np.ndarray:
    """[tiles of columns][stages][columns][depth] of one group, the granules of a row as tile_offset of device/tiles.cuh
    places them: what a bulk copy brings is read as it is."""
    granules = tile.depth // 16
    staged = rows.reshape(-1, tile.columns, rows.shape[-1] // tile.depth, granules, 16).transpose(0, 2, 1, 3, 4)
    turned = np.arange(tile.columns)[:, None] // (8 // granules) % granules
    places = np.arange(granules) ^ turned  # An exclusive or with the same number leads back.
    return np.take_along_axis(staged, places[None, None, :, :, None], 3)


def _per_group(p: "Conv", vector: np.ndarray, outputs: int) -> np.ndarray:
    out = np.zeros((p.groups, outputs), vector.dtype)
    out[:, : p.outputs] = vector.reshape(p.groups, p.outputs)
    return out
