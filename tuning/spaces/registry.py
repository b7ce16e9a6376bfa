"""Which spaces a workload has on a target, and schedules as JSON values."""

from dataclasses import asdict

from ...targets.cuda.workload import CudaWorkload
from ...targets.spec import TargetSpec
from ...targets.x86.conv.amx import AmxSchedule
from ...targets.x86.conv.choose import family_of
from ...targets.x86.conv.depthwise import DepthwiseSchedule
from ...targets.x86.conv.direct import DirectSchedule
from ...targets.x86.isa import building_for
from ...targets.x86.workload import Workload, words
from . import amx, cuda_families, depthwise, direct
from .space import Space

SCHEDULES = {"amx": AmxSchedule, "vnni": DirectSchedule, "listed": DirectSchedule, "fma": DirectSchedule, "depthwise": DepthwiseSchedule, **cuda_families.SCHEDULES}
_SPACES = {"amx": amx.space, "vnni": direct.space, "listed": direct.space, "fma": direct.space, "depthwise": depthwise.space}
_BOTH = ("amx", "vnni")  # on a target with a tile unit the vector unit's kernels run too, and win where tiles stay half empty


def spaces_of(workload: Workload | CudaWorkload, spec: TargetSpec) -> list[Space]:
    """The space of the family that the target takes by default, then those of the others that could."""
    if isinstance(workload, CudaWorkload):
        return cuda_families.spaces_of(workload, spec)
    p = workload.problem
    first = family_of(p, spec.dot)
    others = [family for family in _BOTH if family != first] if spec.dot == "amx" and first in _BOTH else []
    with building_for(spec.dot):
        return [_SPACES[family](p) for family in (first, *others)]


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
