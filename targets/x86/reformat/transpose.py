"""Transposes in registers: 16 x 16 float32, and 16 pixels x 16 channels of bytes by way of dwords that hold four
channels."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from tvm import tirx
from tvm.tirx.script import builder as T

from ...cpu.expressions import load_vector
from ..intrinsics import part

if TYPE_CHECKING:
    pass


def _pair(a: tirx.Expr, b: tirx.Expr, order: list[int]) -> tirx.Expr:
    return T.Bind(tirx.Shuffle([a, b], order))


def _unpack(width: int, high: int) -> list[int]:
    """Lane order of VUNPCKL/H on 16 dwords: `width` neighbouring dwords from a, then from b, within each 128-bit
    lane."""
    order = []
    for lane in range(0, 16, 4):
        for group in range(0, 2, width):
            start = lane + 2 * high + group
            order += [start + i for i in range(width)] + [16 + start + i for i in range(width)]
    return order


def transpose_lanes(v: list[tirx.Expr]) -> list[tirx.Expr]:
    """Four vectors of 16 dwords -> u: u[i] lane L holds v[0..3][4L + i]."""
    low0, high0 = _pair(v[0], v[1], _unpack(1, 0)), _pair(v[0], v[1], _unpack(1, 1))
    low1, high1 = _pair(v[2], v[3], _unpack(1, 0)), _pair(v[2], v[3], _unpack(1, 1))
    return [
        _pair(low0, low1, _unpack(2, 0)),
        _pair(low0, low1, _unpack(2, 1)),
        _pair(high0, high1, _unpack(2, 0)),
        _pair(high0, high1, _unpack(2, 1)),
    ]


def _lanes(a: tirx.Expr, b: tirx.Expr, first: tuple[int, int], second: tuple[int, int]) -> tirx.Expr:
    """Two 128-bit lanes of a, two of b (VSHUFF32X4)."""
    return _pair(
        a,
        b,
        [4 * lane + i for lane in first for i in range(4)] + [16 + 4 * lane + i for lane in second for i in range(4)],
    )


def lanes_of_four(v: list[tirx.Expr]) -> list[tirx.Expr]:
    """Four vectors -> w: w[g] = 128-bit lane g of v[0], v[1], v[2], v[3]."""
    ab0, ab1 = _lanes(v[0], v[1], (0, 1), (0, 1)), _lanes(v[0], v[1], (2, 3), (2, 3))
    cd0, cd1 = _lanes(v[2], v[3], (0, 1), (0, 1)), _lanes(v[2], v[3], (2, 3), (2, 3))
    return [
        _lanes(ab0, cd0, (0, 2), (0, 2)),
        _lanes(ab0, cd0, (1, 3), (1, 3)),
        _lanes(ab1, cd1, (0, 2), (0, 2)),
        _lanes(ab1, cd1, (1, 3), (1, 3)),
    ]


def transpose16(rows: list[tirx.Expr]) -> list[tirx.Expr]:
    """16 vectors of 16 dwords -> the 16 columns."""
    quads = [transpose_lanes(rows[i : i + 4]) for i in range(0, 16, 4)]
    columns: list[Any] = [None] * 16
    for i in range(4):
        a, b, c, d = (quad[i] for quad in quads)  # Lane L of each has column 4L + i, of rows 0-3, 4-7, 8-11 and 12-15.
        ab0, ab1 = _lanes(a, b, (0, 1), (0, 1)), _lanes(a, b, (2, 3), (2, 3))
        cd0, cd1 = _lanes(c, d, (0, 1), (0, 1)), _lanes(c, d, (2, 3), (2, 3))
        columns[i], columns[4 + i] = _lanes(ab0, cd0, (0, 2), (0, 2)), _lanes(ab0, cd0, (1, 3), (1, 3))
        columns[8 + i], columns[12 + i] = _lanes(ab1, cd1, (0, 2), (0, 2)), _lanes(ab1, cd1, (1, 3), (1, 3))
    return columns


def pixels_from_quads(quads: Sequence[tirx.Expr]) -> list[tirx.Expr]:
    """quads[k] (uint8x64): dword j = channels 4k..4k+3 of pixel j -> 16 values uint8x16, the 16 channels of pixel
    0..15."""
    rows = [tirx.reinterpret("uint8x64", u) for u in transpose_lanes([tirx.reinterpret("int32x16", q) for q in quads])]
    return [part(rows[pixel % 4], pixel // 4 * 16, 16) for pixel in range(16)]


def quads_from_pixels(buffer: "tirx.Buffer", index: Callable[[int], tirx.Expr]) -> list[tirx.Expr]:
    """The inverse, from memory: index(pixel) is where the 16 bytes of a pixel lie."""
    rows = []
    for i in range(4):
        lanes = [tirx.reinterpret("int32x4", load_vector(buffer, index(4 * lane + i), 16)) for lane in range(4)]
        rows.append(T.Bind(tirx.Shuffle(lanes, list(range(16)))))
    return [tirx.reinterpret("uint8x64", q) for q in _inverse_lanes(rows)]


def _inverse_lanes(u: Sequence[tirx.Expr]) -> list[tirx.Expr]:
    """u[i] lane L = dwords 0..3 of pixel 4L + i -> v[k] dword 4L + i: within a lane a 4 x 4 transpose, its own
    inverse."""
    return transpose_lanes(list(u))
