"""Build for CUDA: the integer graph -> Variant: a fatbin, one blob of constants, and the launches on places in weights,
arena, inputs and outputs."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import tvm

from ....targets.cuda.compiling.compiler import compile_fatbin
from ....targets.cuda.compiling.source import named, source
from ....targets.spec import TargetSpec
from ....targets.tuned import Records
from ....targets.variant import Launch, TensorSpec, Variant
from ....targets.workload_key import Keyed
from ...realize.fuse_float import FuseFloat
from ...rewriting.unroll_loops import UnrollLoops
from ...running import apply
from .. import memory
from ..batch.stretches import Choose
from ..merge_axes import MergeAxes
from ..program import Weights
from .context import Lowered
from .lowering import lower
from .rules import RULES

if TYPE_CHECKING:
    from ....targets.cuda.kernel import CudaKernel
    from ..integer_network import IntegerNetwork
    from .context import Storage


class CudaLowering:
    """Compiles for NVIDIA GPUs; what each method does says `Lowering` in ../backends.py."""

    def build(
        self,
        networks: "tuple[IntegerNetwork, ...]",
        spec: TargetSpec,
        name: str,
        tuned: Records | None,
        choose: Choose,
        self_check: bool,
        count_clips: bool,
        integer: "tuple[IntegerNetwork, ...]",
    ) -> tuple[Variant, ...]:
        (one,) = networks
        return (
            build_cuda_variant(apply(MergeAxes(padded=False), one.module), spec, one.inputs, one.outputs, name, tuned),
        )

    def check(self, module: Callable[[], tvm.IRModule], spec: TargetSpec) -> None:
        """Lowers the network without compiling it, which is where an operator without a kernel shows."""
        lower(MergeAxes(padded=False)(FuseFloat()(UnrollLoops(spec.name)(module()))), spec, RULES)

    def workloads(self, module: tvm.IRModule, spec: TargetSpec, note: "Callable[[Keyed, int], None]") -> None:
        lower(MergeAxes(padded=False)(module), spec, RULES, lambda workload: note(workload, 1))


def build_cuda_variant(
    module: tvm.IRModule,
    spec: TargetSpec,
    inputs: tuple[TensorSpec, ...],
    outputs: tuple[TensorSpec, ...],
    name: str = "",
    tuned: Records | None = None,
) -> Variant:
    """Compiles `main` of a realised, float-fused module. tuned: schedules found by measuring. Raises TargetError for an
    operator without a CUDA kernel, and without nvcc."""
    lowered = lower(UnrollLoops(spec.name)(module), spec, RULES, tuned)
    names = named(call.kernel for call in lowered.calls)
    text = source(names)
    library, usage = compile_fatbin(text, spec.extra["code"])
    launches, weights, arena = place(lowered, names)
    return Variant(
        spec.name,
        library,
        weights,
        arena,
        tuple(call.step for call in lowered.calls),
        inputs,
        outputs,
        spec.features,
        spec.rank,
        name,
        kind=spec.kind,
        launches=launches,
        source=text,
        extra={"usage": usage},
    )


def place(lowered: Lowered, names: "dict[CudaKernel, str]") -> tuple[tuple[Launch, ...], np.ndarray, int]:
    """(launches, weights blob, bytes of the arena): every storage gets its place; buffers that do not live at one time
    share bytes."""
    outputs = {storage: i for i, storage in enumerate(lowered.outputs)}
    lives: dict[Storage, tuple[int, int]] = {}
    for i, call in enumerate(lowered.calls):
        for storage in (storage.root[0] for storage in call.operands):
            if storage.kind == "buffer" and storage not in outputs:
                lives[storage] = (lives.get(storage, (i, i))[0], i)
            if storage.kind == "state":
                lives[storage] = (0, len(lowered.calls))  # Nothing else may ever lie there.
    offsets, arena = memory.plan_arena(
        [memory.Lifetime(storage, storage.bytes + memory.ALIGNMENT, *life) for storage, life in lives.items()]
    )
    weights = Weights()

    def where(storage: "Storage") -> tuple[str, int]:
        storage, start = storage.root
        if storage.kind == "constant":
            assert storage.array is not None
            found = weights.place(storage.array)
            return (found.kind, found.offset)
        if storage.kind == "input":
            return ("input", storage.number)
        return ("output", outputs[storage]) if storage in outputs else ("arena", offsets[storage] + start)

    launches = tuple(
        Launch(
            names[call.kernel],
            call.kernel.grid,
            call.kernel.block,
            call.kernel.shared,
            tuple(map(where, call.operands)),
        )
        for call in lowered.calls
    )
    return launches, weights.blob(), arena
