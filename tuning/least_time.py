"""The least time of a kernel on the machine that measures: what a session may still hope to save."""

from dataclasses import replace

from ..targets.x86.peak import Peak
from ..targets.x86.roofline import FLOPS, limit_of


def least_time(state, states, spec, peak: Peak | None) -> float:
    """Seconds of one call that the machine cannot go below: products and other vector instructions at the peak, bytes
    at the bandwidth. A state has `task`, `case`, and `default_seconds` and `best_ratio` once it was measured. peak: of
    the machine; where it is not known, the best rates that any kernel of the session reached stand in."""
    if peak is None:
        return _among_others(state, states)
    measured = [other for other in states if other.default_seconds]
    for other in measured:  # A peak that was measured while the machine did other things is too low.
        peak = _lifted(peak, other)
    workload = state.task.workload
    tiles = spec.tiles and not workload.lanes
    return limit_of(
        peak, workload.dtype, workload.multiply_adds, state.case.moved, workload.lanes, workload.vectors, tiles
    ).seconds


def _lifted(peak, state):
    """The peak, with the rates that a kernel reached where they are higher."""
    workload, seconds = state.task.workload, state.default_seconds * state.best_ratio
    dots = workload.dtype == "int8" and not workload.lanes
    products = 2e-9 * workload.multiply_adds / seconds
    level, _ = peak.level(state.case.moved)
    bandwidth = f"{level.lower()}_gbytes"
    reached = {
        "int8_gops": products if dots else 0.0,
        "float32_gflops": 1e-9 * FLOPS * workload.vectors / seconds + (0.0 if dots else products),
        bandwidth: 1e-9 * state.case.moved / seconds,
    }
    return replace(peak, **{name: max(rate, getattr(peak, name)) for name, rate in reached.items()})


def _among_others(state, states):
    workload = state.task.workload
    operations, moved = _work(state)
    same = [other for other in states if other.default_seconds and other.task.workload.dtype == workload.dtype]
    rates = [(_work(other), other.default_seconds * other.best_ratio) for other in same]
    compute = operations / max(work[0] / seconds for work, seconds in rates) if operations else 0.0
    return max(compute, moved / max(work[1] / seconds for work, seconds in rates))


def _work(state):
    """(operations, bytes) of one call."""
    return 2.0 * state.task.workload.multiply_adds, float(state.case.moved)
