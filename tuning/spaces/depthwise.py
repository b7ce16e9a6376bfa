"""The space of depthwise convolutions (targets/x86/conv/depthwise.py)."""

from math import log2

from ...targets.x86.conv.depthwise_pack import channels_per_vector
from ...targets.x86.conv.depthwise_schedule import DepthwiseSchedule, default_schedule
from ...targets.x86.conv.problem import ConvProblem
from .space import Space, choices, chunks, fixed

MOST_PIXELS = 8


def space(p: ConvProblem) -> Space:
    default = default_schedule(p)
    lines = p.batch * p.out_height
    decisions = {
        "pixels": choices(default.pixels, *range(1, min(p.out_width, MOST_PIXELS) + 1)),
        "rows": chunks(lines, default.rows),
        "staged": (True, False) if any(p.padding) else (default.staged,),
    }
    return Space(
        "depthwise", p, fixed(default, decisions), DepthwiseSchedule, default, lambda s: True, lambda s: _features(p, s)
    )


def _features(p, s):
    (kh, kw), lanes = p.kernel, channels_per_vector(p)
    columns = (s.pixels - 1) * p.strides[1] + (kw - 1) * p.dilation[1] + 1
    tiles = -(-p.out_width // s.pixels)
    tasks = -(-p.batch * p.out_height // s.rows)
    full = p.out_stride // lanes * lanes / p.out_stride
    logs = [log2(x) for x in (tasks, s.rows, s.rows * p.width * p.data_stride, p.out_stride)]
    return [
        *logs,
        columns / s.pixels,
        tiles * s.pixels / p.out_width,
        float(s.pixels),
        float(kh * kw),
        float(p.strides[0]),
        full,
        float(s.staged),
        float(any(p.padding)),
    ]
