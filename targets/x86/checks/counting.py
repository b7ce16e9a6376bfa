"""How often a convolution kernel computes each of its results: register tiles at the end of a line overlap the ones
before."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..conv import amx, direct_schedule
from ..conv.depthwise_pack import channels_per_vector, chunk_starts, fold_of
from ..conv.listed_copy import gathered_pixels
from ..conv.problem import ConvProblem
from ..tiles import TILE_ROWS

if TYPE_CHECKING:
    from ..conv.amx import AmxSchedule
    from ..conv.depthwise_schedule import DepthwiseSchedule
    from ..conv.direct_schedule import DirectSchedule
    from ..conv.left_sums import Checked


def computed(p: ConvProblem, family: str, schedule: Any) -> np.ndarray:
    """int64 [batch, out_height, out_width]. family, schedule: of the kernel (conv/choose.py)."""
    lines = _LINES[family](p, schedule)
    return (
        np.broadcast_to(lines, (p.batch, p.out_height, p.out_width))
        if lines.ndim == 1 and len(lines) == p.out_width
        else lines.reshape(p.batch, p.out_height, p.out_width)
    )


def computed_channels(p: ConvProblem, family: str) -> np.ndarray:
    """int64 [out_channels]: the same of channels. The last vector of a depthwise kernel may overlap the one before,
    with weights of its own."""
    counts = np.ones(p.out_channels, np.int64)
    if family == "depthwise":
        starts = chunk_starts(p)
        counts[:] = sum(
            (np.arange(p.out_channels) >= start) & (np.arange(p.out_channels) < start + channels_per_vector(p))
            for start in starts
        )
    return counts


def _line(length: int, tile: int, units: Sequence[int] | None = None) -> np.ndarray:
    """Of `length` pixels in tiles of `tile`, the last one moved back to end at the last pixel."""
    counts = np.zeros(length, np.int64)
    for unit in range(-(-length // tile)) if units is None else units:
        start = min(unit * tile, length - tile)
        counts[start : start + tile] += 1
    return counts


def _direct(p: "Checked", s: "DirectSchedule") -> np.ndarray:
    return _line(direct_schedule.line_of(p) if direct_schedule.is_matmul(p) else p.out_width, s.pixels)


def _listed(p: ConvProblem, s: "DirectSchedule") -> np.ndarray:
    p = gathered_pixels(p) or p
    if direct_schedule.is_matmul(p):
        return _line(direct_schedule.line_of(p), s.pixels)
    tall = max(1, s.pixels // p.out_width)
    group, image = (
        _line(p.out_width * tall, s.pixels).reshape(tall, p.out_width),
        np.zeros((p.out_height, p.out_width), np.int64),
    )
    for unit in range(-(-p.out_height // tall)):
        start = min(unit * tall, p.out_height - tall)
        image[start : start + tall] += group
    return np.broadcast_to(image, (p.batch, p.out_height, p.out_width)).reshape(-1)


def _amx(p: "Checked", s: "AmxSchedule") -> np.ndarray:
    walk = amx.walk_of(p, s.phases)
    line = _line(walk.pixels, min(TILE_ROWS, walk.pixels))
    if walk.pitch:
        line = np.pad(line, (0, -len(line) % walk.pitch)).reshape(-1, walk.pitch)[:, : p.out_width].reshape(-1)
    return np.broadcast_to(line, (walk.images * walk.rows, len(line))).reshape(-1)


def _depthwise(p: "Checked", s: "DepthwiseSchedule") -> np.ndarray:
    return _line(p.out_width, min(s.pixels, p.out_width // fold_of(p)) * fold_of(p))


_LINES: dict[str, Callable[..., np.ndarray]] = {
    "vnni": _direct,
    "listed": _listed,
    "amx": _amx,
    "depthwise": _depthwise,
}
