"""Build: the integer (or float) graph -> Variant: kernels in one shared library, constants in one blob, one function that calls them all."""

import tvm
from tvm import tirx

from ...targets.spec import TargetSpec
from ...targets.variant import TensorSpec, Variant
from ...targets.x86.fallback import schedule_fallback
from ...targets.x86.isa import building_for
from ...targets.x86.workload import Records
from ..running import apply, run
from .batch.link import link
from .batch.pieces import split
from .batch.plan import plan
from .codegen import compile_with_source
from .cuda.build import build_cuda_variant
from .entry import emit_library
from .lowering import lower
from .merge_axes import MergeAxes
from .program import linearize
from .rules import RULES
from .stages import lowering


def build_variant(module: tvm.IRModule, spec: TargetSpec, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...], name: str = "",
                  tuned: Records | None = None, choose=plan) -> Variant:
    """Compiles `main` of a realised, float-fused module. inputs, outputs: the signature, in the order of `main`. tuned: schedules found by measuring.
    choose: how many samples of a batch go through which stretch together (batch/plan.py)."""
    if spec.kind == "cuda":
        return build_cuda_variant(apply(MergeAxes(), module), spec, inputs, outputs, name, tuned)
    fallbacks = []

    def legal(part, params=None, results=None, piece=""):
        def walk(part):
            with building_for(spec.dot):
                lowered, without = lower(part, spec, RULES, tuned, params, results)
            fallbacks.extend(without)
            return lowered

        return run(lowering(walk, schedule, f"{spec.name}{piece}"), part)

    pieces = split(module, choose)
    if pieces:
        modules = [legal(p.module, [c.layout for c in p.params], [c.layout for c in p.results], f", piece {i}") for i, p in enumerate(pieces, 1)]
        program, kernels = link(pieces, modules, list(module["main"].params))
    else:
        kernels = legal(module)
        program = linearize(kernels)
    steps = tuple(call.step for call in program.calls)
    tiles = spec.dot == "amx" and any(step.dtype in ("int8", "bfloat16") for step in steps)
    library, source = compile_with_source(emit_library(kernels, program, inputs, outputs, tiles), spec)
    return Variant(spec.name, library, program.weights, program.arena_bytes, steps, inputs, outputs, spec.features | _needed(spec, steps), spec.rank, name,
                   source=source, lane_bytes=program.lane_bytes, loops=tuple((loop.first, loop.last, loop.chunks) for loop in program.loops),
                   extra={"fallbacks": sorted(set(fallbacks))})


def _needed(spec, steps):
    """CPU flags beside the target's. Tiles of bfloat16 came with those of int8 in every processor, but a virtual machine may show one and hide the other."""
    return {"amx_bf16"} if spec.dot == "amx" and any(step.dtype == "bfloat16" for step in steps) else frozenset()


def schedule(mod: tvm.IRModule) -> tvm.IRModule:
    """Gives every function that TVM's legalisation made (no kernel of ours) the fallback schedule."""
    changed = {}
    for var, func in mod.functions_items():
        if isinstance(func, tirx.PrimFunc) and "octet.kernel" not in (func.attrs or {}):
            changed[var] = schedule_fallback(func).with_attr("octet.kernel", "fallback")
    out = tvm.IRModule(dict(mod.functions), attrs=mod.attrs)
    for var, func in changed.items():
        out.update_func(var, func)
    return out
