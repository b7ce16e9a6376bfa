"""Build: the integer (or float) graph -> Variant: kernels in one shared library, constants in one blob, one function that calls them all."""

from dataclasses import dataclass, replace

import tvm
from tvm import tirx

from ...targets.errors import TargetError
from ...targets.native.interface import Interface
from ...targets.spec import TargetSpec
from ...targets.variant import TensorSpec, Variant
from ...targets.x86.fallback import schedule_fallback
from ...targets.x86.workload import Records
from ..rewriting.loops import loops_of
from ..rewriting.unroll_loops import UnrollLoops
from ..running import apply, run
from .batch.link import link
from .batch.pieces import split
from .batch.plan import plan
from .codegen import compile_network
from .cuda.build import build_cuda_variant
from .entry import emit_shapes
from .lowering import lower
from .merge_axes import MergeAxes
from .program import Kernels, Program, Weights, linearize
from .rules import RULES
from .stages import lowering
from .watch.watch import Watch


@dataclass(frozen=True)
class Network:
    """What is compiled. module: realised and float-fused. inputs, outputs: the signature, in the order of `main`."""

    module: tvm.IRModule
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


def build_variant(module: tvm.IRModule, spec: TargetSpec, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...], name: str = "",
                  tuned: Records | None = None, choose=plan, self_check: bool = False, count_clips: bool = False) -> Variant:
    """Compiles `main` of a realised, float-fused module. inputs, outputs: the signature, in the order of `main`. tuned: schedules found by measuring.
    choose: how many samples of a batch go through which stretch together (batch/plan.py). self_check: it notices flipped bits (watch/watch.py). count_clips: it counts clipped values (watch/clips.py). With either a batch runs whole."""
    return build_shapes((Network(module, inputs, outputs),), spec, name, tuned, choose, self_check, count_clips)[0]


def build_shapes(networks: tuple[Network, ...], spec: TargetSpec, name: str = "", tuned: Records | None = None, choose=plan, self_check: bool = False, count_clips: bool = False, integer: tuple[Network, ...] = ()) -> tuple[Variant, ...]:
    """The same of one network for inputs of several shapes: a variant for each, in order, with one library, equal kernels once, and one blob of weights, equal
    constants once. integer: the networks with int8 boundaries, for callers that quantise (`Variant.integer`), in the same library. Raises TargetError for several shapes, self_check or count_clips on a GPU."""
    if spec.kind == "cuda":
        if len(networks) > 1:
            raise TargetError(f"target {spec.name}: several shapes in one package are for CPUs; compile a package for each shape")
        if self_check or count_clips:
            raise TargetError(f"target {spec.name}: {'--self-check' if self_check else '--count-clips'} is for CPUs; leave it out, or compile this target apart without it")
        (one,) = networks
        return (build_cuda_variant(apply(MergeAxes(), one.module), spec, one.inputs, one.outputs, name, tuned),)
    count, networks = len(networks), networks + integer
    weights, parts, fallbacks, watches = Weights(), [], [], []
    for number, network in enumerate(networks, 1):
        watches.append(Watch(spec.dot, self_check, count_clips) if self_check or count_clips else None)
        parts.append(_lowered(network.module, spec, tuned, choose, weights, f", shape {number}" if len(networks) > 1 else "", fallbacks, watches[-1]))
    kernels, programs = _together(parts)
    blob = weights.blob()
    programs = [replace(program, weights=blob) for program in programs]
    tiles = spec.dot == "amx" and any(call.step.dtype in ("int8", "bfloat16") for program in programs for call in program.calls)
    emitted = emit_shapes(kernels, [(program, one.inputs, one.outputs) for program, one in zip(programs, networks)], tiles)
    features = spec.features | _needed(spec, [call.step for program in programs for call in program.calls])
    shapes = [(number, program, one, tuple((loop.first, loop.last, loop.chunks) for loop in program.loops)) for number, (program, one) in enumerate(zip(programs, networks))]
    interfaces = [Interface(one.inputs, one.outputs, blob.size, program.arena_bytes, program.lane_bytes, loops, len(program.steps), number) for number, program, one, loops in shapes]
    library, kernels_object, source = compile_network(emitted, spec, interfaces)
    made = tuple(
        Variant(spec.name, library, blob, program.arena_bytes, program.steps, one.inputs, one.outputs, features, spec.rank, name,
                source=source, object=kernels_object, lane_bytes=program.lane_bytes, loops=loops, shape=number, words=None if watch is None else watch.words(program.words_at),
                extra={"fallbacks": sorted(set(fallbacks))})
        for (number, program, one, loops), watch in zip(shapes, watches)
    )  # fmt: skip
    return tuple(replace(one, integer=twin) for one, twin in zip(made[:count], made[count:], strict=True)) if integer else made


def _lowered(module, spec, tuned, choose, weights, note, fallbacks, watch) -> tuple[tvm.IRModule, Program]:
    """(a module of kernels, the program that calls them). note: of the shape, where there are several."""

    def legal(part, params=None, results=None, piece=""):
        def walk(part):
            lowered, without = lower(part, spec, RULES, tuned, params, results, watch)
            fallbacks.extend(without)
            return lowered

        return run(lowering(walk, schedule, f"{spec.name}{note}{piece}"), part)

    if watch is not None:
        module = UnrollLoops("a network that watches itself")(module)
    pieces = split(module, choose) if watch is None and not loops_of(module) else None
    if not pieces:
        kernels = legal(module)
        program = linearize(kernels, weights, watch)
        if watch is not None:
            kernels = tvm.IRModule({**{var.name_hint: func for var, func in kernels.functions_items()}, **watch.functions}, attrs=kernels.attrs)
        return kernels, program
    modules = [legal(p.module, [c.layout for c in p.params], [c.layout for c in p.results], f", piece {i}") for i, p in enumerate(pieces, 1)]
    program, kernels = link(pieces, modules, list(module["main"].params), weights)
    return kernels, program


def _together(parts) -> tuple[tvm.IRModule, list[Program]]:
    """(a module with the kernels of all parts, their programs on it)."""
    if len(parts) == 1:
        return parts[0][0], [parts[0][1]]
    kernels = Kernels()
    programs = [replace(program, calls=tuple(kernels.added(module, program.calls))) for module, program in parts]
    return tvm.IRModule(kernels.functions), programs


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
