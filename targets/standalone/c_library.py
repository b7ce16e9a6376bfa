"""A package's kernels and the runtime -> libNAME.so or libNAME.a. Needs a C compiler, and objcopy and ar for the
latter."""

import platform
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from ..errors import OctetError
from ..native import link
from ..native.interface import interface_of
from ..variant import Variant

OURS = Path(__file__).parent / "template"
_STATIC = "-DOCTET_ANY_SYMBOL_VERSION"  # The C library is chosen when the archive is linked.


def write_sources(folder: Path, name: str, shapes: Sequence[Variant], session: str) -> list[str]:
    """Writes into a folder everything that is compiled, but for the header, and returns what the compiler is called
    with: C sources and kernels.o.
    session: the source of the functions that the header declares."""
    (folder / f"{name}.c").write_text(session)
    (folder / "networks.c").write_text(link.glue([interface_of(shape) for shape in shapes]))
    (folder / "kernels.o").write_bytes(bytes(shapes[0].object))
    (folder / "weights.bin").write_bytes(shapes[0].weights.tobytes())
    return [
        f"-I{link.HERE}",
        f"-I{OURS}",
        f"{name}.c",
        str(OURS / "cpu.c"),
        "networks.c",
        *(str(link.HERE / one) for one in link.SOURCES),
        "kernels.o",
    ]


def shared(folder: Path, name: str, sources: Sequence[str], machine: str) -> Path:
    """A shared library, which exports the functions of the header only. machine: what it runs on."""
    made = folder / f"lib{name}.so"
    (folder / "exported").write_text(f"{{ global: {name}_*; local: *; }};")
    link.run_compiler(
        folder,
        *link.FLAGS,
        *link.LINK,
        f"-Wl,-soname,{made.name}",
        "-Wl,--version-script=exported",
        "-o",
        made,
        *sources,
        "-lm",
        machine=machine,
    )
    return made


def static(folder: Path, name: str, sources: Sequence[str], machine: str) -> Path:
    """An archive of one object file, in which all other names are local: two networks, or two versions of the runtime,
    fit into one program."""
    made, whole = folder / f"lib{name}.a", f"{name}.o"
    prefix = "" if machine == platform.machine() else f"{machine}-linux-gnu-"
    objcopy, ar = f"{prefix}objcopy", f"{prefix}ar"
    for tool in (objcopy, ar):
        if not shutil.which(tool):
            raise OctetError(
                f"--static needs {tool}, and there is none; install binutils{f' for {machine}' if prefix else ''}, or "
                "leave --static out"
            )
    link.run_compiler(folder, *link.FLAGS, _STATIC, "-nostdlib", "-r", "-o", whole, *sources, machine=machine)
    for command in ([objcopy, "--wildcard", f"--keep-global-symbol={name}_*", whole], [ar, "rcsD", made.name, whole]):
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        if done.returncode != 0:
            raise OctetError(f"{command[0]}: cannot make {made.name} ({done.stderr.strip()[:200]}); leave --static out")
    return made
