"""Build: the integer (or float) graph -> Variant, by the backend of the target."""

import tvm

from ...targets.errors import TargetError
from ...targets.spec import TargetSpec
from ...targets.tuned import Records
from ...targets.variant import TensorSpec, Variant
from .backends import lowering_of
from .batch.stretches import Choose, plan_stretches
from .cpu.backend import CpuLowering
from .integer_network import IntegerNetwork


def build_variant(
    module: tvm.IRModule,
    spec: TargetSpec,
    inputs: tuple[TensorSpec, ...],
    outputs: tuple[TensorSpec, ...],
    name: str = "",
    *,
    tuned: Records | None = None,
    choose: Choose = plan_stretches,
    self_check: bool = False,
    count_clips: bool = False,
    here: bool = False,
) -> Variant:
    """Compiles `main` of a realised, float-fused module. inputs, outputs: the signature, in the order of `main`. tuned:
    schedules found by measuring.
    choose: how many samples of a batch go through which stretch together (batch/stretches.py). self_check: it notices
    flipped bits (watch/watch.py). count_clips: it counts clipped values (watch/counted_clips.py). With either a batch
    runs whole.
    here: for this process alone, on a CPU: no package holds it (reused_code.py)."""
    network = IntegerNetwork(module, inputs, outputs)
    if here:
        return CpuLowering().build((network,), spec, name, tuned, choose, self_check, count_clips, (), here=True)[0]
    return build_shapes((network,), spec, name, tuned, choose, self_check, count_clips)[0]


def build_shapes(
    networks: tuple[IntegerNetwork, ...],
    spec: TargetSpec,
    name: str = "",
    tuned: Records | None = None,
    choose: Choose = plan_stretches,
    self_check: bool = False,
    count_clips: bool = False,
    integer: tuple[IntegerNetwork, ...] = (),
) -> tuple[Variant, ...]:
    """The same of one network for inputs of several shapes: a variant for each, in order, with one library, equal
    kernels once, and one blob of weights, equal constants once. integer: the networks with int8 boundaries, for callers
    that quantise (`Variant.integer`), in the same library. Raises TargetError for several shapes, self_check or
    count_clips on a GPU."""
    if len(networks) > 1 and not spec.backend.shapes:
        raise TargetError(
            f"target {spec.name}: several shapes in one package are for CPUs; compile a package for each shape"
        )
    if (self_check or count_clips) and not spec.backend.watches:
        raise TargetError(
            f"target {spec.name}: {'--self-check' if self_check else '--count-clips'} is for CPUs; leave it out, or "
            "compile this target apart without it"
        )
    return lowering_of(spec).build(networks, spec, name, tuned, choose, self_check, count_clips, integer)
