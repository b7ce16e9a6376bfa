"""Which spaces a workload has on a target, and schedules as JSON values."""

from dataclasses import asdict

from ...targets.x86.workload import words
from ..kinds.registry import SCHEDULES, spaces_of

__all__ = ["SCHEDULES", "family_of_json", "from_json", "spaces_of", "text_of", "to_json"]


def to_json(family: str, schedule) -> dict:
    """{"family": ..., and the decisions}."""
    return {"family": family, **asdict(schedule)}


def from_json(entry: dict):
    """(family, schedule). Raises KeyError or TypeError for a family or decisions that this version does not have."""
    decisions = {key: value for key, value in entry.items() if key != "family"}
    return entry["family"], SCHEDULES[entry["family"]](**decisions)


def family_of_json(entry: dict) -> str:
    return entry["family"]


def text_of(family: str, schedule) -> str:
    """One word per decision, for tables."""
    return f"{family} {words(schedule)}"
