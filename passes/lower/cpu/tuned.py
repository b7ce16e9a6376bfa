"""The schedule of a kernel: a tuning record's, where there is one for its workload, else the analytical default."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ....targets.tuned import words
from ....targets.x86.workload import Problem, workload_of

if TYPE_CHECKING:
    from .context import CpuContext


def schedule_of(problem: Problem, ctx: "CpuContext", default: Callable[[Any], Any]) -> tuple[Any, dict[str, str]]:
    """(schedule, notes for the kernel's Step). default(problem): the analytical schedule."""
    workload = workload_of(problem)
    tuned = ctx.tuned(workload) if ctx.tuned is not None else None
    schedule = tuned.schedule if tuned is not None else default(problem)
    return schedule, {
        "schedule": words(schedule),
        "source": tuned.source if tuned is not None else "default",
        "workload": workload.text,
    }
