"""Where the tasks of a session stand, and what it may spend."""

from dataclasses import dataclass, field
from typing import Any

from ..targets.errors import OctetError
from .schedule_search import ScheduleSearch
from .tasks import Task


@dataclass
class Contender:
    """A schedule whose first figure was promising. built: what the builder made of it, if that is still there.
    attempts: longer measurements so far, which the noise may have spoiled."""

    ratio: float
    built: object = None
    attempts: int = 0


@dataclass
class TaskState:
    """Where a task stands. default_seconds: of one call with the most cores, 0 before it was measured; best: (family,
    schedule) of what is recorded, best_ratio: its time over the default's. past: trials of earlier sessions.
    contenders: by (family, schedule)."""

    task: Task
    searches: list[ScheduleSearch]
    case: Any = None  # The builder and the runner of a kind take such operands.
    default: object = None  # The builder made this.
    default_seconds: float = 0.0
    best_ratio: float = 1.0
    best: tuple | None = None
    past: int = 0
    trials: int = 0
    failed: int = 0
    stale: int = 0
    done: bool = False
    family_best: dict = field(default_factory=dict)
    last_error: str = ""
    contenders: dict = field(default_factory=dict)

    @property
    def begun(self) -> bool:
        """Whether the default was measured."""
        return self.default_seconds > 0

    @property
    def total(self) -> float:
        """Seconds of the network that this workload takes now."""
        return self.task.count * self.default_seconds * self.best_ratio


@dataclass(frozen=True)
class TuningLimits:
    """Where a session ends.

    seconds: of the session, None without limit. trials: per task, None without limit."""

    seconds: float | None = None
    trials: int | None = None

    def __post_init__(self):
        if self.seconds is None and self.trials is None:
            raise OctetError("tune: give a --budget, e.g. 5m, or --trials")


def check_measured(states: list[TaskState], budget: TuningLimits) -> None:
    """Raises OctetError where not one candidate of a session could be measured, be it for lack of time."""
    tried, failed = sum(state.trials for state in states), sum(state.failed for state in states)
    if tried and tried == failed:
        reason = next(state.last_error for state in states if state.last_error)
        raise OctetError(f"tune: not one of {tried} measurements succeeded; the last failed with: {reason}")
    if not tried and not all(state.done for state in states):
        begun = sum(state.begun for state in states)
        raise OctetError(
            f"tune: the budget of {budget.seconds:.0f} s was up before one candidate was measured: it went into the "
            f"defaults of {begun} of {len(states)} kernels; "
            "give more, e.g. --budget 5m, or tune while the machine has less to do"
        )
