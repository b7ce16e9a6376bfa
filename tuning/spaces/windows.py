"""The space of average pooling (targets/x86/windows/average.py); of maximum pooling: byte_loops.py."""

from ...targets.x86.windows.average import AverageSchedule, default_schedule
from ...targets.x86.windows.pooling import PoolProblem
from . import byte_loops
from .space import Space, choices


def space(p: PoolProblem) -> Space:
    default = default_schedule(p)
    decisions = {
        "parallel": byte_loops.parallel_of(p),
        "chains": choices(default.chains, *((1, 2) if p.dtype == "int8" else ())),
    }
    return Space(
        "average",
        p,
        decisions,
        AverageSchedule,
        default,
        lambda s: True,
        lambda s: [*byte_loops.features(p, s), float(s.chains), float(p.size[1])],
    )
