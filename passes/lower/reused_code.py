"""Machine code of networks that only this process runs, compiled once per kernel: what calibration runs, a simulator
and the fp32 beside a package share most of their kernels.

kernels that are new      -> an object file by each core, each kernel under a name of its own
the network's entries     -> another one, which calls them by these names
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from pathlib import Path
from typing import Any

import tvm
import tvm_ffi
from tvm import tirx

from ...targets import detect
from ...targets.native.interface import Interface
from ...targets.native.link import link, room_to_build
from ...targets.spec import TargetSpec
from .codegen import compile_module
from .entry import ENTRY, called_from_c

_ROOM = 256 << 20  # Object files of so many bytes are kept.
_KERNELS = 8  # An object file of fewer kernels is not worth a thread.


def compile_here(mod: tvm.IRModule, spec: TargetSpec, interfaces: Sequence[Interface]) -> bytes:
    """The shared library of a whole network as `compile_network` makes it, for this process: the code of another
    network's kernels may be in it, too."""
    return _code_for(str(spec.tvm_target())).library(mod, spec, interfaces)


@cache
def _code_for(target: str) -> "ReusedCode":
    return ReusedCode()


class ReusedCode:
    """The object files that were compiled for one target, and in which of them each kernel is."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Forgets all code that was compiled."""
        self._known: dict[int, list[tuple[Any, ...]]] = {}
        self._objects: list[bytes] = []
        self._count = 0

    def library(self, mod: tvm.IRModule, spec: TargetSpec, interfaces: Sequence[Interface]) -> bytes:
        """The shared library of a module, of which only kernels without code yet are compiled. mod: of
        `emit_shapes`."""
        if sum(map(len, self._objects)) > _ROOM:
            self.forget()
        kernels = {var: func for var, func in mod.functions_items() if ENTRY not in func.attrs}
        try:
            found = self._compiled(kernels, spec)
        except BaseException:  # Kernels were noted that have no code now.
            self.forget()
            raise
        objects = [self._objects[place] for place in sorted({place for _, place in found.values()})]
        calling = {var: _call_of(func, found[var][0]) if var in found else func for var, func in mod.functions_items()}
        entries = compile_module(tvm.IRModule(calling), spec).mod
        return link(entries.write_to_file, interfaces, spec.machine, objects)[0]

    def _compiled(self, kernels: dict[tirx.Expr, tirx.PrimFunc], spec: TargetSpec) -> dict[tirx.Expr, tuple[str, int]]:
        """{variable: (symbol, number of its object file)} of every kernel; those that are new are compiled."""
        found = {var: self._find(func) for var, func in kernels.items()}
        unknown = [var for var, place in found.items() if place is None]
        parts: list[dict[tvm.ir.GlobalVar, tirx.PrimFunc]] = [
            {} for _ in range(max(1, min(detect.cores(), len(unknown) // _KERNELS)))
        ]
        for var in unknown:
            func = kernels[var]
            found[var] = self._find(func)
            if found[var] is None:  # Two of the same module may be equal.
                # Kernels that follow each other cost about the same.
                part = sum(map(len, parts)) % len(parts)
                found[var] = symbol, _ = self._note(func, len(self._objects) + part)
                parts[part][tvm.ir.GlobalVar(symbol)] = func.with_attr(ENTRY, symbol)
        with ThreadPoolExecutor(len(parts)) as threads:  # LLVM runs without Python's lock.
            self._objects += threads.map(partial(_object, spec=spec), map(tvm.IRModule, filter(None, parts)))
        return found

    def _find(self, func: tirx.PrimFunc) -> Any:
        """(its symbol, the number of its object file) or None."""
        alike = self._known.get(tvm_ffi.structural_hash(func), ())
        return next((place for other, place in alike if tvm_ffi.structural_equal(other, func)), None)

    def _note(self, func: tirx.PrimFunc, number: int) -> tuple[str, int]:
        """The next symbol; its code is to come, in the object file of that number."""
        place = f"octet_kernel_{self._count}", number
        self._count += 1
        self._known.setdefault(tvm_ffi.structural_hash(func), []).append((func, place))
        return place


def _object(mod: tvm.IRModule, spec: TargetSpec) -> bytes:
    with room_to_build() as folder:
        path = Path(folder) / "kernels.o"
        compile_module(mod, spec).mod.write_to_file(str(path))
        return path.read_bytes()


def _call_of(func: tirx.PrimFunc, symbol: str) -> tirx.PrimFunc:
    """A function of the same arguments that calls the kernel in its object file."""
    called = tirx.Evaluate(tirx.call_extern("int32", symbol, *func.params))
    body = tirx.AttrStmt(tvm.ir.StringImm("default"), "compute_scope", tvm.ir.StringImm("kernel"), called)
    return called_from_c(tirx.PrimFunc(func.params, body), symbol).without_attr(ENTRY).with_attrs(dict(func.attrs))
