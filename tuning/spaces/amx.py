"""The space of int8 convolutions and linear layers on the tile unit (targets/x86/conv/amx.py)."""

from dataclasses import replace
from math import log2

from ...targets.x86.conv.amx import AmxSchedule, default_schedule, steps_of, units_of, walk_of, weaves
from ...targets.x86.conv.amx_micro import BLOCK
from ...targets.x86.conv.problem import ConvProblem
from ...targets.x86.tiles import TILE_ROWS
from .space import Space, choices, chunks, fixed


def space(p: ConvProblem) -> Space:
    default = default_schedule(p)
    total = _units(p, default)
    walks = (True, False) if walk_of(p, True) != walk_of(p, False) else (default.phases,)
    steps = steps_of(p, walk_of(p))
    decisions = {
        "pixels_outer": (True, False),
        "units": chunks(total, default.units),
        "unroll": choices(default.unroll, *(n for n in (1, 2, 4, 8) if n <= steps)),
        "phases": walks,
        "woven": (True, False) if weaves(p) else (default.woven,),
        "ahead": choices(default.ahead, True, False),
    }
    return Space(
        "amx",
        p,
        fixed(default, decisions),
        AmxSchedule,
        default,
        lambda s: True,
        lambda s: _features(p, s),
        _guesses(default, total, decisions["units"]),
    )


def _units(p, s):
    walk = walk_of(p, s.phases)
    return walk.images * walk.rows * units_of(walk)


def _features(p, s):
    """Logarithms of: tasks, units of a task, bytes of weights and of data that a task reads, the output it writes;
    waste of the tiles; the flags."""
    walk = walk_of(p, s.phases)
    total, blocks = _units(p, s), -(-p.out_blocks // 2)
    tasks = -(-total // s.units) * (1 if s.pixels_outer else blocks)
    depth = steps_of(p, walk) * 64
    weights = depth * BLOCK * (blocks if s.pixels_outer else 1)
    useful = p.batch * p.out_height * p.out_width
    computed = walk.images * walk.rows * -(-walk.pixels // TILE_ROWS) * TILE_ROWS
    output = s.units * 2 * TILE_ROWS * (p.out_stride if s.pixels_outer else BLOCK)
    logs = [
        log2(x)
        for x in (tasks, s.units, weights, s.units * 2 * TILE_ROWS * depth, output, depth, p.out_stride, s.unroll)
    ]
    return [
        *logs,
        computed / useful,
        float(s.pixels_outer),
        float(s.phases),
        float(s.woven),
        float(s.ahead),
        float(walk.stage is not None),
        float(p.epilogue.residual),
    ]


def _guesses(default, total, units):
    """The other operand streamed, in a few large tasks."""
    sizes = sorted({-(-total // parts) for parts in (2, 4, 8)} & set(units))
    return tuple(replace(default, pixels_outer=outer, units=size) for outer in (True, False) for size in sizes)
