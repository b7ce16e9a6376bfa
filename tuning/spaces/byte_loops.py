"""The spaces of kernels that walk their bytes once: elementwise operators, tables, quantisation, maximum pooling.
Vectors are as wide as registers and memory sets the pace: unrolling changed nothing where it was tried. What is left to
decide is whether waking the other cores pays."""

from math import log2

from ...targets.x86.vector_loops import LoopSchedule, Traffic, default_loops
from .space import Space

# These are bytes: less is done before another core has woken up, and more is always worth it.
SMALL, LARGE = 1 << 13, 1 << 22


def parallel_of(p: Traffic) -> tuple[bool, ...]:
    """The choices of `parallel`: both where it is not plain."""
    return (False, True) if SMALL <= p.traffic <= LARGE else (default_loops(p).parallel,)


def space(p: Traffic) -> Space:
    return Space(
        "loops",
        p,
        {"parallel": parallel_of(p)},
        LoopSchedule,
        default_loops(p),
        lambda s: True,
        lambda s: features(p, s),
    )


def features(p: Traffic, s: LoopSchedule) -> list[float]:
    """What explains the time of such a kernel: the logarithm of its bytes, and whether it runs on all cores."""
    return [log2(max(1, p.traffic)), float(s.parallel)]
