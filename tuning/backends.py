"""The table of what tunes: a kind of target -> what builds its candidates and what measures them."""

from contextlib import AbstractContextManager
from typing import Protocol

from ..targets.spec import TargetSpec
from .cpu_tuner import CpuTuner
from .cuda_tuner import CudaTuner


class Tuner(Protocol):
    """How the kernels of a kind of target are built and measured."""

    def builder(self, spec: TargetSpec) -> AbstractContextManager:
        """A context of what has `build([(workload, schedule), ...])`: for each a built kernel, or why there is none."""

    def workers(self, spec: TargetSpec, cores: int, tracker: str | None, key: str | None) -> AbstractContextManager:
        """Opens the workers that measure.

        (what compares kernels, whose figures these are). cores: most of a kernel. tracker, key: of workers
        elsewhere, None for this machine. Raises OctetError where it does not run the target's code."""


TUNERS: dict[str, Tuner] = {"cpu": CpuTuner(), "cuda": CudaTuner()}


def tuner_of(spec: TargetSpec) -> Tuner:
    """What builds and measures for a target."""
    return TUNERS[spec.kind]
