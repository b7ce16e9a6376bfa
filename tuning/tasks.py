"""What there is to tune in a network: its distinct workloads, and how often each is run."""

from collections import Counter
from dataclasses import dataclass

import tvm

from ..passes.lower.backends import lowering_of
from ..targets.errors import OctetError
from ..targets.schema import parsed
from ..targets.spec import TargetSpec
from ..targets.variant import Variant
from ..targets.workload_key import Keyed
from .kinds.registry import spaces_of
from .spaces.registry import workload_and_spaces


@dataclass(frozen=True)
class Task:
    """A workload of a network that is to be tuned.

    count: how often a run of the network does this workload."""

    workload: Keyed
    count: int


def tasks_of_graph(module: tvm.IRModule, spec: TargetSpec) -> list[Task]:
    """The tasks of a realised, float-fused module: what lowering it asks for, in order of first use."""
    found: Counter[Keyed] = Counter()

    def note(workload, runs):
        found[workload] += runs

    lowering_of(spec).workloads(module, spec, note)
    return _with_choices(found, spec)


def tasks_of_variant(variant: Variant, spec: TargetSpec) -> list[Task]:
    """The tasks of a compiled network. Raises OctetError for a package whose kernels do not say what they were built
    for."""
    chunks = {i: count for first, last, count in variant.loops for i in range(first, last)}
    texts: Counter[str] = Counter()
    for i, step in enumerate(variant.steps):
        if step.workload:
            texts[step.workload] += chunks.get(i, 1)
    if not texts and any(step.macs for step in variant.steps):
        raise OctetError(
            "tune: the package is of an older version and does not say what its kernels compute; tune the .onnx, or "
            "compile it again"
        )
    try:
        found = Counter({workload_and_spaces(parsed(text), spec)[0]: count for text, count in texts.items()})
    except ValueError as error:
        raise OctetError(
            f"tune: the package describes its kernels in a way that this version does not know ({error}); compile it "
            "again"
        ) from error
    return _with_choices(found, spec)


def _with_choices(workloads, spec):
    """Without the workloads whose only schedule is the default."""
    return [
        Task(workload, count)
        for workload, count in workloads.items()
        if sum(space.points for space in spaces_of(workload, spec)) > 1
    ]
