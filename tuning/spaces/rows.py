"""The space of layer normalisation (targets/x86/rows/layer_norm.py); of softmax alone: byte_loops.py."""

from ...targets.x86.rows.layer_norm import LayerNormProblem, RowSchedule, default_schedule
from . import byte_loops
from .space import Space, choices


def space(p: LayerNormProblem) -> Space:
    """The space for the vector unit that `building_for` names."""
    default = default_schedule(p)
    decisions = {
        "parallel": byte_loops.parallel_of(p),
        "together": choices(default.together, *(n for n in (1, 2, 4, 6, 8) if n <= p.rows)),
    }
    return Space(
        "rows",
        p,
        decisions,
        RowSchedule,
        default,
        lambda s: True,
        lambda s: [*byte_loops.features(p, s), float(s.together), float(p.channels)],
    )
