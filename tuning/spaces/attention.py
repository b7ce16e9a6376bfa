"""The space of products of two computed tensors, with or without a softmax behind them
(targets/x86/matmul/product.py)."""

from math import log2, prod

from ...targets.x86.isa import UNITS
from ...targets.x86.matmul.pack import packed_bytes
from ...targets.x86.matmul.problem import MatmulProblem
from ...targets.x86.matmul.schedule import STACK_LIMIT, MatmulSchedule, default_schedule, stack_bytes
from ...targets.x86.tiles import TILE_ROWS
from .space import Space, choices, fixed


def space(p: MatmulProblem, dot: str) -> Space:
    """The schedules of a product of two computed tensors.

    dot: the target's int8 dot product (see `TargetSpec.dot`)."""
    default = default_schedule(p)
    rows, tiles = min(TILE_ROWS, p.rows), -(-p.rows // TILE_ROWS)
    decisions = {
        "tiles": choices(default.tiles, *(n for n in (1, 2) if n <= tiles)),
        "chunks": choices(default.chunks, *(n for n in (1, 2, 4, 8) if n <= tiles)),
        "together": choices(
            default.together, *((n for n in (2, 4, 8, 16) if rows % n == 0) if p.softmax is not None else ())
        ),
    }
    if not UNITS[dot].tiles:
        decisions["height"] = choices(default.height, *(n for n in (2, 4, 6) if n <= rows))
    return Space(
        "attention",
        p,
        fixed(default, decisions),
        MatmulSchedule,
        default,
        lambda s: stack_bytes(p, s) <= STACK_LIMIT,
        lambda s: _features(p, s),
    )


def _features(p, s):
    """Logarithms of: tasks, rows, length of a sum, columns, bytes of the packed operand and of a unit's sums; how often
    it is packed, what a vector tile loads per product; the flags."""
    units = -(-p.rows // (TILE_ROWS * s.tiles))
    logs = [
        log2(x)
        for x in (
            prod(p.batch) * s.chunks,
            p.rows,
            p.inner,
            p.columns,
            packed_bytes(p),
            s.tiles * TILE_ROWS * p.columns * 4,
        )
    ]
    idle = s.chunks * -(-units // s.chunks) / units
    return [
        *logs,
        float(s.chunks),
        idle,
        (s.height + 4) / (4 * s.height),
        float(s.tiles),
        float(s.together),
        float(p.softmax is not None),
    ]
