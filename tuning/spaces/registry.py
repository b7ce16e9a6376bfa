"""Which spaces a workload has on a target, and schedules as JSON values."""

from dataclasses import asdict, fields

from ...targets.tuned import words
from ...targets.workloads import UNREADABLE, workload_from
from ..kinds.registry import SCHEDULES, spaces_of

__all__ = ["SCHEDULES", "from_json", "member", "spaces_of", "text_of", "to_json", "workload_and_spaces"]


def to_json(family: str, schedule) -> dict:
    """Writes a schedule as JSON values.

    {"family": ..., and the decisions}."""
    return {"family": family, **asdict(schedule)}


def from_json(entry: dict):
    """Reads a schedule from JSON values.

    (family, schedule). Raises KeyError or TypeError for a family or decisions that this version does not have."""
    decisions, made = {key: value for key, value in entry.items() if key != "family"}, SCHEDULES[entry["family"]]
    # The record was measured without these decisions: their defaults would be another kernel.
    if missing := {field.name for field in fields(made)} - decisions.keys():
        raise KeyError(f"{entry['family']}: {', '.join(sorted(missing))}")
    return entry["family"], made(**decisions)


def workload_and_spaces(problem: dict, spec):
    """Reads a workload and finds its spaces.

    (workload, its spaces on a target) of JSON values that came from a database or a file. Raises ValueError for
    whatever no kernel is of."""
    try:
        workload = workload_from(problem)
        return workload, spaces_of(workload, spec)
    except UNREADABLE as error:
        raise ValueError(f"is of a kernel that this version does not know ({error or type(error).__name__})") from error


def member(entry: dict, spaces):
    """Reads a schedule and makes sure that a space has it.

    (family, schedule) of JSON values that came from a database or a file. Raises ValueError where none of a
    workload's spaces holds it."""
    try:
        family, schedule = from_json(entry)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"is no schedule of this version ({error})") from error
    if not any(space.family == family and space.holds(schedule) for space in spaces):
        raise ValueError(f"has decisions that are not in the kernel's space: {text_of(family, schedule)}")
    return family, schedule


def text_of(family: str, schedule) -> str:
    """One word per decision, for tables."""
    return f"{family} {words(schedule)}"
