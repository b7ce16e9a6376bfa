"""The table of lowerings: a kind of target -> what compiles networks for it."""

from collections.abc import Callable
from typing import Protocol

import tvm

from ...targets.spec import TargetSpec
from ...targets.tuned import Records
from ...targets.variant import Variant
from ...targets.workload_key import Keyed
from .batch.stretches import Choose
from .cpu.backend import CpuLowering
from .cuda.backend import CudaLowering
from .integer_network import IntegerNetwork


class Lowering(Protocol):
    """How a kind of target is compiled for. What it can be asked for says `spec.backend` (targets/kinds/backend.py)."""

    def build(
        self,
        networks: tuple[IntegerNetwork, ...],
        spec: TargetSpec,
        name: str,
        tuned: Records | None,
        choose: Choose,
        self_check: bool,
        count_clips: bool,
        integer: tuple[IntegerNetwork, ...],
    ) -> tuple[Variant, ...]:
        """The variants of a network for `spec`, with the arguments of `build.build_shapes`."""

    def check(self, module: Callable[[], tvm.IRModule], spec: TargetSpec) -> None:
        """Raises TargetError for an operator that no kernel can be made for, where only building would say it. module:
        gives a network in any form, for whoever asks."""

    def workloads(self, module: tvm.IRModule, spec: TargetSpec, note: "Callable[[Keyed, int], None]") -> None:
        """Calls note(workload, how often a run of the network does it) for all that building a realised, float-fused
        module asks records for."""


LOWERINGS: dict[str, Lowering] = {"cpu": CpuLowering(), "cuda": CudaLowering()}


def lowering_of(spec: TargetSpec) -> Lowering:
    """The `Lowering` that compiles for a target."""
    return LOWERINGS[spec.kind]
