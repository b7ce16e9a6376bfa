"""The space of bfloat16 convolutions and linear layers on the vector unit (targets/x86/conv/bf16.py)."""

from math import log2

from ...targets.bfloat16 import BLOCK
from ...targets.x86.conv.bf16 import Bf16Schedule, blocks_of, default_schedule, most_pixels, walk_of
from ...targets.x86.conv.problem import ConvProblem
from .space import Space, choices, chunks, fixed


def space(p: ConvProblem) -> Space:
    default, walk = default_schedule(p), walk_of(p)
    # The vector unit that the space is made for holds so many pixels at most.
    most = {vectors: most_pixels(vectors) for vectors in (1, 2, 3, 4)}
    decisions = {
        "vectors": choices(default.vectors, *(v for v in (1, 2, 3, 4) if v <= p.out_blocks)),
        "pixels": choices(default.pixels, *range(1, min(walk.pixels, most[1]) + 1)),
        "pixels_outer": (True, False),
        "units": chunks(_units(walk, default), default.units),
    }
    least = min(4, default.vectors * default.pixels)
    valid = lambda s: least <= s.vectors * s.pixels and s.pixels <= max(default.pixels, most[s.vectors])
    return Space("bf16", p, fixed(default, decisions), Bf16Schedule, default, valid, lambda s: _features(p, walk, s))


def _units(walk, s):
    return walk.images * walk.rows * -(-walk.pixels // s.pixels)


def _features(p, walk, s):
    """Logarithms of: tasks, units of a task, bytes of weights and of data that a task reads, length of a sum; loads per
    product; waste; flags."""
    blocks, depth = -(-p.out_blocks // s.vectors), blocks_of(walk) * BLOCK
    tasks = -(-_units(walk, s) // s.units) * (1 if s.pixels_outer else blocks)
    weights = 2 * depth * s.vectors * 16 * (blocks if s.pixels_outer else 1)
    logs = [log2(x) for x in (tasks, s.units, weights, 2 * s.units * s.pixels * depth, depth, p.out_stride)]
    waste = -(-walk.pixels // s.pixels) * s.pixels / walk.pixels * blocks * s.vectors / p.out_blocks
    return [
        *logs,
        (s.vectors + s.pixels) / (s.vectors * s.pixels),
        float(s.vectors),
        float(s.pixels),
        waste,
        float(s.pixels_outer),
    ]
