"""Build for processors: the integer (or float) graph -> Variant: kernels in one shared library, constants in one blob,
one function that calls them all."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import tvm
from tvm import tirx

from ....targets.native.interface import Interface
from ....targets.tuned import Records
from ....targets.variant import Variant
from ....targets.workload_key import Keyed
from ....targets.x86.fallback import schedule_fallback
from ....targets.x86.isa import building_for
from ...rewriting.loops import loops_of
from ...rewriting.unroll_loops import UnrollLoops
from ...running import run_passes
from ..batch.link_pieces import link_pieces
from ..batch.pieces import split_batch
from ..batch.stretches import Choose
from ..codegen import compile_network
from ..entry import emit_shapes
from ..linearize import linearize
from ..merge_axes import MergeAxes
from ..program import Kernels, Program, Weights, kernels_of
from ..reused_code import compile_here
from ..share_kernels import share_kernels
from ..watch.watch import Watch
from .lowering import lower
from .rules import RULES
from .stages import lowering

if TYPE_CHECKING:
    from ....targets.spec import TargetSpec
    from ....targets.variant import Step
    from ....targets.x86.layout import Layout
    from ..integer_network import IntegerNetwork


class CpuLowering:
    """Compiles for processors; what each method does says `Lowering` in ../backends.py."""

    def build(
        self,
        networks: "tuple[IntegerNetwork, ...]",
        spec: "TargetSpec",
        name: str,
        tuned: Records | None,
        choose: Choose,
        self_check: bool,
        count_clips: bool,
        integer: "tuple[IntegerNetwork, ...]",
        here: bool = False,
    ) -> tuple[Variant, ...]:
        """Compiles the networks as `Lowering` says. here: the variants are for this process alone, without what a
        package needs of them."""
        count, networks = len(networks), networks + integer
        weights, parts, watches = Weights(), [], []
        fallbacks: list[str] = []
        for number, network in enumerate(networks, 1):
            watches.append(Watch(spec.dot, self_check, count_clips) if self_check or count_clips else None)
            parts.append(
                _lowered(
                    network.module,
                    spec,
                    tuned,
                    choose,
                    weights,
                    f", shape {number}" if len(networks) > 1 else "",
                    fallbacks,
                    watches[-1],
                )
            )
        kernels, programs = share_kernels(*_together(parts))
        blob = weights.blob()
        programs = [replace(program, weight_bytes=blob.size) for program in programs]
        tiles = spec.tiles and any(
            call.step.dtype in ("int8", "bfloat16") for program in programs for call in program.calls
        )
        emitted = emit_shapes(
            kernels, [(program, one.inputs, one.outputs) for program, one in zip(programs, networks)], tiles
        )
        features = spec.features | _needed(spec, [call.step for program in programs for call in program.calls])
        shapes = [
            (number, program, one, program.spans) for number, (program, one) in enumerate(zip(programs, networks))
        ]
        interfaces = [
            Interface(
                one.inputs,
                one.outputs,
                blob.size,
                program.arena_bytes,
                program.lane_bytes,
                loops,
                len(program.steps),
                number,
            )
            for number, program, one, loops in shapes
        ]
        library, kernels_object, source = (
            (compile_here(emitted, spec, interfaces), b"", "") if here else compile_network(emitted, spec, interfaces)
        )
        variants = tuple(
            Variant(
                spec.name,
                library,
                blob,
                program.arena_bytes,
                program.steps,
                one.inputs,
                one.outputs,
                features,
                spec.rank,
                name,
                source=source,
                object=kernels_object,
                lane_bytes=program.lane_bytes,
                loops=loops,
                shape=number,
                words=None if watch is None else watch.words(program.words_at),
                extra={"fallbacks": sorted(set(fallbacks))},
            )
            for (number, program, one, loops), watch in zip(shapes, watches)
        )
        return (
            tuple(replace(one, integer=twin) for one, twin in zip(variants[:count], variants[count:], strict=True))
            if integer
            else variants
        )

    def check(self, module: "Callable[[], tvm.IRModule]", spec: "TargetSpec") -> None:
        """Does nothing, as an operator without a kernel shows when the network is built for its calibration."""

    def workloads(self, module: tvm.IRModule, spec: "TargetSpec", note: "Callable[[Keyed, int], None]") -> None:
        with building_for(spec.dot):
            pieces = split_batch(module)
            for piece in pieces:
                asked = _noted(note, piece.chunks)
                lower(
                    MergeAxes()(piece.module),
                    spec,
                    RULES,
                    asked,
                    [c.layout for c in piece.params],
                    [c.layout for c in piece.results],
                )
            if not pieces:
                lower(MergeAxes()(module), spec, RULES, _noted(note, 1))


def _noted(note: "Callable[[Keyed, int], None]", runs: int) -> Records:
    """Records of nothing, which notes what is asked for."""
    return lambda workload: note(workload, runs)


def _lowered(
    module: tvm.IRModule,
    spec: "TargetSpec",
    tuned: Records | None,
    choose: Choose,
    weights: Weights,
    note: str,
    fallbacks: list[str],
    watch: Watch | None,
) -> tuple[tvm.IRModule, Program]:
    """(a module of kernels, the program that calls them). note: of the shape, where there are several."""

    def legal(
        part: tvm.IRModule, params: "list[Layout] | None" = None, results: "list[Layout] | None" = None, piece: str = ""
    ) -> tvm.IRModule:
        def walk(part: tvm.IRModule) -> tvm.IRModule:
            lowered, without = lower(part, spec, RULES, tuned, params, results, watch)
            fallbacks.extend(without)
            return lowered

        return run_passes(lowering(walk, schedule, f"{spec.name}{note}{piece}"), part)

    if watch is not None:
        module = UnrollLoops("a network that watches itself")(module)
    pieces = split_batch(module, choose) if watch is None and not loops_of(module) else None
    if not pieces:
        kernels = legal(module)
        program = linearize(kernels, weights, watch)
        if watch is not None:
            kernels = tvm.IRModule(
                {**{var.name_hint: func for var, func in kernels.functions_items()}, **watch.functions},
                attrs=kernels.attrs,
            )
        return kernels_of(kernels), program
    modules = [
        legal(p.module, [c.layout for c in p.params], [c.layout for c in p.results], f", piece {i}")
        for i, p in enumerate(pieces, 1)
    ]
    program, kernels = link_pieces(pieces, modules, list(module["main"].params), weights)
    return kernels, program


def _together(parts: list[tuple[tvm.IRModule, Program]]) -> tuple[tvm.IRModule, list[Program]]:
    """(a module with the kernels of all parts, their programs on it)."""
    if len(parts) == 1:
        return parts[0][0], [parts[0][1]]
    kernels = Kernels()
    programs = [replace(program, calls=tuple(kernels.added(module, program.calls))) for module, program in parts]
    return tvm.IRModule(kernels.functions), programs


def _needed(spec: "TargetSpec", steps: "list[Step]") -> frozenset[str]:
    """CPU flags beside the target's. Tiles of bfloat16 came with those of int8 in every processor, but a virtual
    machine may show one and hide the other."""
    return frozenset({"amx_bf16"}) if spec.tiles and any(step.dtype == "bfloat16" for step in steps) else frozenset()


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
