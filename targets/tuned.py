"""Schedules that were found by measuring, of any target."""

from dataclasses import asdict, dataclass
from typing import Any, Protocol

from .workload_key import Keyed


@dataclass(frozen=True)
class Tuned:
    """A schedule that was found by measuring, and where: what `octet inspect` shows as the kernel's source."""

    schedule: Any
    source: str


class Records(Protocol):
    """What lowering asks: the tuned schedule of a workload, None for the analytical default."""

    def __call__(self, workload: Keyed) -> Tuned | None:
        """The schedule of the workload's record, and what it was measured with."""


def words(schedule: Any) -> str:
    """A schedule for people: one word per decision."""
    return " ".join(
        f"{key}={int(value) if isinstance(value, bool) else value}" for key, value in asdict(schedule).items()
    )
