"""The space of dense and grouped convolutions on the vector unit, int8 and float32 (targets/x86/conv/direct.py,
listed.py)."""

from math import log2

from ...targets.x86.conv import direct_schedule, listed as conv_listed
from ...targets.x86.conv.direct_schedule import DirectSchedule, is_matmul, line_of, span_of, units_of
from ...targets.x86.conv.problem import ConvProblem
from ...targets.x86.isa import current
from .space import Space, choices, chunks, fixed

VECTORS = (1, 2, 3, 4, 6, 8)
MOST_PIXELS = 14


def space(p: ConvProblem) -> Space:
    listed = p.dtype == "int8" and not current().vnni
    default = (conv_listed if listed else direct_schedule).default_schedule(p)
    least = min(8, default.vectors * default.pixels)
    most = max(direct_schedule.most_pixels(p, 1), default.vectors * default.pixels)
    decisions = {
        "vectors": choices(default.vectors, *(v for v in VECTORS if v <= p.out_blocks)),
        "pixels": choices(default.pixels, *range(1, min(line_of(p), MOST_PIXELS) + 1)),
        "pixels_outer": (True, False),
        "units": chunks(units_of(p, default.pixels), default.units),
    }
    # The sums stay in registers, and enough of them are in flight to hide the latency of a dot product.
    valid = lambda s: least <= s.vectors * s.pixels <= most
    family = "fma" if p.dtype == "float32" else "listed" if listed else "vnni"
    return Space(family, p, fixed(default, decisions), DirectSchedule, default, valid, lambda s: _features(p, s))


def _features(p, s):
    """Logarithms of: tasks, units of a task, bytes of weights and of data that a task reads, length of a sum; loads per
    product; waste; flags."""
    line, size = line_of(p), 1 if p.dtype == "int8" else 4
    tiles, blocks = -(-line // s.pixels), -(-p.out_blocks // s.vectors)
    tasks = -(-units_of(p, s.pixels) // s.units) * (1 if s.pixels_outer else blocks)
    depth = span_of(p, s.vectors) * p.kernel[0] * p.kernel[1]
    weights = depth * s.vectors * 16 * (blocks if s.pixels_outer else 1) * size
    data = s.units * (s.pixels if is_matmul(p) else line * p.kernel[0]) * p.data_stride * size
    logs = [log2(x) for x in (tasks, s.units, weights, data, depth, p.out_stride)]
    loads = (s.vectors + s.pixels) / (s.vectors * s.pixels)
    waste = tiles * s.pixels / line * blocks * s.vectors / p.out_blocks
    return [
        *logs,
        loads,
        float(s.vectors * s.pixels),
        float(s.vectors),
        float(s.pixels),
        waste,
        float(s.pixels_outer),
        float(any(p.padding)),
    ]
