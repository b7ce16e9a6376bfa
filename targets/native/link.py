"""Kernels and runtime -> kernels.so. Needs a C compiler, as linking does."""

import functools
import os
import platform
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..errors import OctetError
from ..variant import suffix
from .interface import Interface

SOURCES = ("backend.c", "pool.c", "stream.c")
FLAGS = ("-std=c11", "-D_GNU_SOURCE", "-O2", "-fPIC", "-Wall", "-Wextra", "-Werror")
LINK = ("-shared", "-Wl,--no-undefined", "-Wl,--as-needed", "-pthread")
_EXPORTED = "{ global: octet_stream_*; octet_interface; octet_networks; octet_signature; local: *; };"
# Generated code calls a runtime through these pointers; without a definition nothing would be behind them.
_POINTER = re.compile(rb"__TVM\w+")
_POINTERS = (b"__TVMBackendParallelLaunch", b"__TVMBackendAllocWorkspace", b"__TVMBackendFreeWorkspace")
_ROOM = 32 << 20  # The object files and the library of a large network fit into these bytes.
HERE = Path(__file__).parent


def link(
    write_kernels: Callable[[str], None], interfaces: Sequence[Interface], machine: str, others: Sequence[bytes] = ()
) -> tuple[bytes, bytes]:
    """(a shared library, the object file that write_kernels wrote). write_kernels: writes one with an `octet_run` of
    every interface and, if it has steps, an `octet_step` to a path. machine: what it runs on (`TargetSpec.machine`).
    others: object files that it calls. Raises OctetError without a compiler or room for its files."""
    with room_to_build() as folder:
        kernels, runtime, exported, library = (
            Path(folder) / name for name in ("kernels.o", "runtime.o", "exported", "kernels.so")
        )
        write_kernels(str(kernels))
        called = [Path(folder) / f"kernels{number}.o" for number in range(len(others))]
        for path, content in zip(called, others):
            path.write_bytes(content)
        unknown = {name for path in (kernels, *called) for name in _POINTER.findall(path.read_bytes())} - set(_POINTERS)
        assert not unknown, f"kernels call what the runtime does not have: {unknown}"
        runtime.write_bytes(_runtime(machine))
        exported.write_text(_EXPORTED)
        (Path(folder) / "networks.c").write_text(glue(interfaces))
        run_compiler(
            folder,
            *FLAGS,
            f"-I{HERE}",
            *LINK,
            f"-Wl,--version-script={exported}",
            "-o",
            library,
            "networks.c",
            kernels,
            *called,
            runtime,
            "-lm",
            machine=machine,
        )
        return library.read_bytes(), kernels.read_bytes()


@contextmanager
def room_to_build() -> Iterator[str]:
    """Yields a temporary folder. Raises OctetError where its disk is nearly full: LLVM would end the process."""
    with tempfile.TemporaryDirectory(prefix="octet-") as folder:
        if (room := shutil.disk_usage(folder).free) < _ROOM:
            raise OctetError(
                f"{tempfile.gettempdir()}: has {room >> 10} KiB free, and building needs {_ROOM >> 20} MiB; make "
                "room, or set TMPDIR to another folder"
            )
        yield folder


def glue(interfaces: Sequence[Interface]) -> str:
    """C: the constants of `stream.h`, and calls with a pointer per tensor, as the kernels' entries want them."""
    lines, constants = ['#include "stream.h"'], []
    for one in interfaces:
        end, count = suffix(one.shape), len(one.inputs) + len(one.outputs)
        types, given = ", void *" * count, "".join(f", tensors[{i}]" for i in range(count))
        for name, more, values in (
            ("run", "", ""),
            *([("step", "int32_t index, int32_t chunk, ", "index, chunk, ")] if one.steps else []),
        ):
            common = f"{more}void *weights, void *arena, void *lanes, int32_t threads"
            lines += [
                f"int32_t octet_{name}{end}({common}{types});",
                f"static int32_t {name}{end}({common}, void *const *tensors) {{ return "
                f"octet_{name}{end}({values}weights, arena, lanes, threads{given}); }}",
            ]
        constants.append(
            f'  {{"{one.signature}", {one.arena}, {one.lane}, {len(one.inputs)}, {len(one.outputs)}, '
            f"{one.steps}, run{end}, {f'step{end}' if one.steps else '0'}}},"
        )
    lines += [
        "extern const octet_network octet_compiled[];",
        "extern const int octet_compiled_count;",
        "const octet_network octet_compiled[] = {",
        *constants,
        "};",
    ]
    return "\n".join([*lines, f"const int octet_compiled_count = {len(interfaces)};", ""])


@functools.cache
def _runtime(machine: str) -> bytes:
    """The object file of all sources."""
    with tempfile.TemporaryDirectory(prefix="octet-") as folder:
        made = Path(folder) / "runtime.o"
        run_compiler(folder, *FLAGS, "-nostdlib", "-r", "-o", made, *(HERE / name for name in SOURCES), machine=machine)
        return made.read_bytes()


def run_compiler(folder: Path | str, *arguments: str | Path, machine: str = platform.machine()) -> None:
    """Calls the C compiler for a machine in a folder. Raises OctetError where there is none, and with the first error
    that it names."""
    variable, names, install = _compilers(machine)
    compiler = os.environ.get(variable) or next((name for name in names if shutil.which(name)), None)
    if compiler is None:
        raise OctetError(
            f"building {'' if variable == 'CC' else f'for {machine} '}needs a C compiler, and there is none; install "
            f"{install}, or name one in {variable}"
        )
    try:
        done = subprocess.run([*compiler.split(), *map(str, arguments)], cwd=folder, capture_output=True, text=True)
    except OSError as error:
        raise OctetError(f"{compiler}: cannot be run ({error.strerror}); name a C compiler in {variable}") from error
    if done.returncode != 0:
        said = next(
            (line for line in done.stderr.splitlines() if "error" in line or "undefined" in line),
            done.stderr.strip()[-200:],
        )
        raise OctetError(
            f"{compiler}: cannot build the kernels' library ({said.strip()}); gcc 9 or newer can, name one in "
            f"{variable}"
        )


def _compilers(machine: str) -> tuple[str, tuple[str, ...], str]:
    """(the variable that names the compiler for a machine, known names of it, what to install)."""
    if machine == platform.machine():
        return "CC", ("gcc", "clang", "cc"), "gcc or clang"
    cross = f"{machine}-linux-gnu-gcc"
    return f"CC_{machine.upper()}", (cross,), f"{cross} (Debian: gcc-{machine.replace('_', '-')}-linux-gnu)"
