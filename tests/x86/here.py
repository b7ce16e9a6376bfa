"""Runs what was compiled for any x86 level on this machine: as it is where the machine has the instructions, emulated
where it lacks some."""

import tempfile
from pathlib import Path

from octet.passes.lower.codegen import compile_module
from octet.targets import detect
from octet.targets.runtime import Session
from octet.targets.tvm.native_library import open_library
from octet.targets.x86.emulation.emulated_variant import compiled, emulated
from octet.targets.x86.emulation.source import source_of


def library_of(source, host):
    """A shared library, for TVM's runtime, of LLVM IR for machines of target `host`."""
    with tempfile.TemporaryDirectory(prefix="octet-") as folder:
        library = Path(folder) / "kernels.so"
        compiled(source, host).export_library(str(library))
        return library.read_bytes()


def module_here(mod, spec, features=frozenset()):
    """The functions of a TIR module that is compiled for `spec`. features: CPU flags that it needs beside the
    target's."""
    executable = compile_module(mod, spec)
    if not detect.missing(spec.features | features):
        return executable
    return open_library(library_of(source_of(executable.mod.inspect_source("ll")), detect.native()))


def session_here(variant):
    """A session of a variant."""
    return Session(emulated(variant) if detect.missing(variant.features) else variant)
