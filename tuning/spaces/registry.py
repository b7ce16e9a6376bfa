"""Which spaces a workload has on a target, and schedules as JSON values."""

from dataclasses import asdict, fields

from ...targets.x86.workload import words
from ..kinds.registry import SCHEDULES, spaces_of

__all__ = ["SCHEDULES", "family_of_json", "from_json", "spaces_of", "text_of", "to_json"]


def to_json(family: str, schedule) -> dict:
    """{"family": ..., and the decisions}."""
    return {"family": family, **asdict(schedule)}


def from_json(entry: dict):
    """(family, schedule). Raises KeyError or TypeError for a family or decisions that this version does not have."""
    decisions, made = {key: value for key, value in entry.items() if key != "family"}, SCHEDULES[entry["family"]]
    if missing := {field.name for field in fields(made)} - decisions.keys():  # it was measured without them: their defaults would be another kernel
        raise KeyError(f"{entry['family']}: {', '.join(sorted(missing))}")
    return entry["family"], made(**decisions)


def family_of_json(entry: dict) -> str:
    return entry["family"]


def text_of(family: str, schedule) -> str:
    """One word per decision, for tables."""
    return f"{family} {words(schedule)}"
