"""Machine code: a TIR module of private kernels and public entries -> the bytes of a shared library."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tvm
from tvm import tirx

from ...targets.native.interface import Interface
from ...targets.native.link import link, room_to_build
from ...targets.spec import TargetSpec
from ...targets.x86.emulation.source import source_of
from .entry import ENTRY

# Our kernels are loops over flat buffers with 32-bit indices and explicit vectors: of TVM's passes they need only
# these. The others (most of them about blocks) took most of the compile time of a large kernel and changed nothing in
# its code.
_TEMPLATES = [
    tirx.transform.FlattenBuffer,
    tirx.transform.VectorizeLoop,
    tirx.transform.UnrollLoop,
    tirx.transform.StmtSimplify,
    tirx.transform.VerifyMemory,
    tirx.transform.AnnotateEntryFunc,
]
# These follow calls, so they need every function of the module.
_CALLS = [tirx.transform.SplitHostDevice, tirx.transform.MakePackedAPI]


def compile_module(mod: tvm.IRModule | tirx.PrimFunc, spec: TargetSpec) -> tvm.runtime.Executable:
    """Compiles a module to TVM's Executable. Functions with the attribute octet.kernel == "fallback" go through TVM's
    whole pipeline, all others through the short one."""
    tirx.register_tir_pipeline("octet", _pipeline)
    return tvm.compile(mod, target=spec.tvm_target(), tir_pipeline="octet")


def compile_library(mod: tvm.IRModule, spec: TargetSpec) -> bytes:
    """The bytes of a shared library for TVM's runtime."""
    with room_to_build() as folder:
        path = Path(folder) / "kernels.so"
        compile_module(mod, spec).export_library(str(path))
        return path.read_bytes()


def compile_network(mod: tvm.IRModule, spec: TargetSpec, interfaces: Sequence[Interface]) -> tuple[bytes, bytes, str]:
    """The bytes of the shared library of a whole network (`emit_shapes`), with our own runtime; the object file of its
    kernels, for `targets/standalone`; and the LLVM IR that they were made from, which `targets/x86/emulation` compiles
    for other machines."""
    kernels = compile_module(mod, spec).mod
    return *link(kernels.write_to_file, interfaces, spec.machine), source_of(kernels.inspect_source("ll"))


def _pipeline() -> tuple[Any, Any, Any]:
    whole, finalize_host, finalize_device = tirx.get_tir_pipeline("s_tir")
    short, calls = (tvm.transform.Sequential([make() for make in passes]) for passes in (_TEMPLATES, _CALLS))

    @tvm.transform.module_pass(opt_level=0)
    def by_kind(mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        kinds: dict[bool, dict[tvm.ir.GlobalVar, Any]] = {False: {}, True: {}}
        for var, func in mod.functions_items():
            kinds[_attribute(func, "octet.kernel") == "fallback"][var] = func
        functions: dict[tvm.ir.GlobalVar, Any] = {}
        for fallback, chosen in kinds.items():
            if chosen:
                lowered = (whole if fallback else short)(tvm.IRModule(chosen, attrs=mod.attrs))
                functions |= {var: _no_entry(func) for var, func in lowered.functions_items()}
        return _entries(_bind_device(calls(tvm.IRModule(functions, attrs=mod.attrs))))

    return by_kind, finalize_host, finalize_device


def _no_entry(func: tirx.PrimFunc) -> tirx.PrimFunc:
    """TVM marks the only function of a module as its entry; alone among the fallbacks a private kernel is none."""
    return func if _attribute(func, "global_symbol") is not None else func.without_attr("tirx.is_entry_func")


def _attribute(func: tirx.PrimFunc, key: str) -> str | None:
    return str(func.attrs[key]) if func.attrs is not None and key in func.attrs else None


def _bind_device(mod: tvm.IRModule) -> tvm.IRModule:
    """Private functions learn on which device they run, which MakePackedAPI tells only public ones: LowerTVMBuiltin
    asks when it places temporary buffers."""
    for var, func in list(mod.functions_items()):
        if _attribute(func, "global_symbol") is None:
            body = func.body
            for key, value in (("device_type", 1), ("device_id", 0)):
                body = tirx.AttrStmt(tvm.ir.StringImm("default"), key, tirx.const(value, "int32"), body)
            mod.update_func(var, func.with_body(body))
    return mod


def _entries(mod: tvm.IRModule) -> tvm.IRModule:
    """What C calls gets its name last: MakePackedAPI would have made it a function for TVM's runtime."""
    for var, func in list(mod.functions_items()):
        if (name := _attribute(func, ENTRY)) is not None:
            mod.update_func(var, func.with_attr("global_symbol", name))
    return mod
