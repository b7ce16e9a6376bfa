"""The C runtime by itself, under the sanitizers and valgrind: threads, buffers, forks, and nothing left behind."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from octet.targets.native import link
from octet.targets.native.interface import Interface
from octet.targets.variant import TensorSpec

HERE, SOURCES = Path(__file__).parent, Path(link.__file__).parent
FLAGS = (
    "-std=c11",
    "-D_GNU_SOURCE",
    "-g",
    "-O1",
    "-pthread",
    "-Wall",
    "-Wextra",
    "-Wpedantic",
    "-Werror",
    f"-I{SOURCES}",
)
COMPILERS = [name for name in ("gcc", "clang") if shutil.which(name)]
TENSOR = (TensorSpec("x", (64,), "float32"),)


def built(folder, compiler, *flags):
    (folder / "networks.c").write_text(link.glue([Interface(TENSOR, TENSOR, 256, 256, steps=1)]))
    program = folder / "stress"
    command = [
        compiler,
        *FLAGS,
        *flags,
        "-o",
        program,
        HERE / "stress.c",
        folder / "networks.c",
        *(SOURCES / name for name in link.SOURCES),
    ]
    return program, subprocess.run(command, capture_output=True, text=True)


def ran(program, *before):
    done = subprocess.run(
        [*before, program],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"ASAN_OPTIONS": "detect_leaks=1", "TSAN_OPTIONS": "halt_on_error=1"},
    )
    assert done.returncode == 0 and done.stdout == "done\n", done.stderr[-3000:]


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize(
    "flags",
    [("-O3",), ("-fsanitize=address,undefined", "-fno-sanitize-recover"), ("-fsanitize=thread", "-DNO_FORK")],
    ids=["plain", "address", "thread"],
)
def test_streams(tmp_path, compiler, flags):
    program, made = built(tmp_path, compiler, *flags)
    if made.returncode != 0 and "sanitize" in flags[0] and "cannot find" in made.stderr:
        pytest.skip("the sanitizer's library is not installed")
    assert made.returncode == 0, made.stderr
    ran(program)


@pytest.mark.skipif(not shutil.which("valgrind"), reason="valgrind is not installed")
def test_no_memory_is_left(tmp_path):
    program, made = built(tmp_path, COMPILERS[0])
    assert made.returncode == 0, made.stderr
    ran(
        program,
        "valgrind",
        "-q",
        "--error-exitcode=9",
        "--leak-check=full",
        "--show-leak-kinds=all",
        "--errors-for-leak-kinds=all",
    )


def test_what_a_library_needs(toy_variant, tmp_path):
    """libc and libm, and nothing that came with a newer C library than 2.17."""
    path = tmp_path / "kernels.so"
    path.write_bytes(toy_variant.library)
    needed = subprocess.run(
        ["readelf", "-d", "--dyn-syms", "-W", path], capture_output=True, text=True, check=True
    ).stdout
    libraries = [line.rpartition("[")[2].rstrip("]") for line in needed.splitlines() if "(NEEDED)" in line]
    assert set(libraries) <= {"libc.so.6", "libm.so.6", "ld-linux-x86-64.so.2", "libpthread.so.0"}
    symbols = [line.split()[7:] for line in needed.splitlines() if " UND " in line and len(line.split()) > 7]
    versions = {symbol[0].rpartition("@GLIBC_")[2] for symbol in symbols if "@GLIBC_" in symbol[0]}
    assert versions and all(tuple(map(int, version.split("."))) <= (2, 17) for version in versions), symbols
    unversioned = {symbol[0] for symbol in symbols if "@" not in symbol[0]}
    assert unversioned <= {
        "_ITM_deregisterTMCloneTable",
        "_ITM_registerTMCloneTable",
        "__gmon_start__",
        "__cxa_finalize",
    }
