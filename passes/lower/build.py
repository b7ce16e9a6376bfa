"""Build: the integer (or float) graph -> Variant: kernels in one shared library, constants in one blob, one function that calls them all."""

import tvm
from tvm import relax, tirx
from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script import builder as T

from ...targets.spec import TargetSpec
from ...targets.variant import TensorSpec, Variant
from ...targets.x86.fallback import schedule_fallback
from ...targets.x86.intrinsics import tile_release
from ...targets.x86.isa import building_for
from ...targets.x86.workload import Records
from .codegen import compile_library
from .cuda.build import build_cuda_variant
from .lowering import lower
from .merge_axes import MergeAxes
from .program import ALIASES, Program, linearize
from .rules import RULES


def build_variant(module: tvm.IRModule, spec: TargetSpec, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...], name: str = "",
                  tuned: Records | None = None) -> Variant:
    """Compiles `main` of a realised, float-fused module. inputs, outputs: the signature, in the order of `main`. tuned: schedules found by measuring."""
    module = MergeAxes()(module)
    if spec.kind == "cuda":
        return build_cuda_variant(module, spec, inputs, outputs, name, tuned)
    with building_for(spec.dot):
        lowered, fallbacks = lower(module, spec, RULES, tuned)
    legal = schedule(relax.transform.LegalizeOps(skip_ops=list(ALIASES))(lowered))
    program = linearize(legal)
    steps = tuple(call.step for call in program.calls)
    tiles = spec.dot == "amx" and any(step.dtype == "int8" for step in steps)
    library = compile_library(emit_library(legal, program, inputs, outputs, tiles), spec)
    return Variant(spec.name, library, program.weights, program.arena_bytes, steps, inputs, outputs, spec.features, spec.rank, name,
                   extra={"fallbacks": sorted(set(fallbacks))})


def schedule(mod: tvm.IRModule) -> tvm.IRModule:
    """Gives every function that TVM's legalisation made (no kernel of ours) the fallback schedule."""
    changed = {}
    for var, func in mod.functions_items():
        if isinstance(func, tirx.PrimFunc) and "octet.kernel" not in (func.attrs or {}):
            changed[var] = schedule_fallback(func).with_attr("octet.kernel", "fallback")
    out = tvm.IRModule(dict(mod.functions))
    for var, func in changed.items():
        out.update_func(var, func)
    return out


def emit_library(mod: tvm.IRModule, program: Program, inputs, outputs, tiles: bool = False, stepwise: bool = True) -> tvm.IRModule:
    """The TIR module: every used kernel as a private function on raw pointers, `octet_run`, and, if `stepwise`, `octet_step` for profiling.
    tiles: whether kernels use the tile unit, which `octet_run` releases at its end."""
    functions = {}
    for called in sorted({call.function for call in program.calls}):
        functions[called] = tvm.ir.GlobalVar(called)
    body = {var: _private(mod[called]) for called, var in functions.items()}
    for entry, indexed in (("octet_run", False), ("octet_step", True))[: 1 + stepwise]:
        body[tvm.ir.GlobalVar(entry)] = _entry(entry, indexed, program, functions, inputs, outputs, tiles)
    return tvm.IRModule(body)


def _private(func):
    """PrimFunc over buffers -> the same over raw pointers, callable from another function of the module without argument checks."""
    pointers = [T.ptr(str(param.dtype)) for param in func.params]
    declared = [tirx.DeclBuffer(param, data=pointer) for param, pointer in zip(func.params, pointers)]
    done = tirx.Return(tirx.const(0, "int32"))
    attrs = {key: value for key, value in func.attrs.items() if key not in ("global_symbol",)}
    # A compute scope is never inlined. It must not be: TVM's alias metadata (TBAA) says that two buffer variables never overlap, but an intermediate is
    # one variable in the kernel that writes it and another in the kernel that reads it; side by side in one function LLVM deletes the first one's stores.
    body = tirx.AttrStmt(tvm.ir.StringImm("default"), "compute_scope", tvm.ir.StringImm("kernel"), tirx.SeqStmt([*declared, func.body]))
    plain = tirx.PrimFunc(pointers, tirx.SeqStmt([body, done]), tvm.ir.PrimType("int32"))
    return plain.with_attrs({**attrs, "tirx.noalias": True})


def _entry(name, indexed, program, functions, inputs, outputs, tiles):
    with IRBuilder() as builder:
        with T.prim_func():
            T.func_name(name)
            T.func_attr({"global_symbol": name})
            index = T.arg("index", T.int32()) if indexed else None
            buffers = {
                "weights": T.arg("weights", T.Buffer((program.weights.size,), "uint8")),
                "arena": T.arg("arena", T.Buffer((max(program.arena_bytes, 1),), "uint8")),
                "input": [T.arg(f"input{i}", T.Buffer(spec.shape, spec.dtype)) for i, spec in enumerate(inputs)],
                "output": [T.arg(f"output{i}", T.Buffer(spec.shape, spec.dtype)) for i, spec in enumerate(outputs)],
            }
            for i, call in enumerate(program.calls):
                pointers = [_pointer(place, buffers) for place in call.operands]
                run = tvm.ir.Call(functions[call.function], pointers, ret_ty=tvm.ir.PrimType("int32"))
                if not indexed:
                    T.evaluate(run)
                    continue
                with T.If(index == i):
                    with T.Then():
                        T.evaluate(run)
            if tiles:  # a core with tiles in use saves 8 KiB more at every context switch
                tile_release()
    return builder.get()


def _pointer(place, buffers):
    if place.kind == "packed":
        return tirx.address_of(buffers["output"][0][place.offset])
    found = buffers[place.kind]
    if place.kind in ("input", "output"):
        return found[place.offset].data
    return tirx.address_of(found[place.offset])
