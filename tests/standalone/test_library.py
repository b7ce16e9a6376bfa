"""Exported libraries as other programs use them: compiled with every compiler that is here, without a warning, under
sanitizers and valgrind."""

import ctypes
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from octet.targets.standalone.c_library import write_sources
from octet.targets.standalone.export import ExportForm, session_source

HERE = Path(__file__).parent
STRICT = ("-Wall", "-Wextra", "-Wpedantic", "-Werror")
C = [name for name in ("gcc", "clang") if shutil.which(name)]
CXX = [name for name in ("g++", "clang++") if shutil.which(name)]
LINKED = {
    "shared": ("-L.", "-lsmall", "-Wl,-rpath,$ORIGIN"),
    "static": ("libsmall.a", "-lm", "-pthread"),
    "mapped": ("-L.", "-lsmall", "-Wl,-rpath,$ORIGIN"),
}
FORMS = list(LINKED)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("compiler", C)
def test_the_self_test_program(exported, run, form, compiler):
    run(exported[form], compiler, "-std=c99", *STRICT, "-Wconversion", "main.c", *LINKED[form], "-o", "selftest")
    assert run(exported[form], "./selftest") == "small: byte for byte as recorded\n"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("compiler", CXX)
def test_cpp(exported, run, form, compiler):
    run(exported[form], compiler, "-std=c++17", *STRICT, "-I.", HERE / "session.cpp", *LINKED[form], "-o", "session")
    assert run(exported[form], "./session") == "done\n"


def test_wrong_calls_and_threads_under_sanitizers(small, exported, run, tmp_path):
    """Wrapper and runtime instrumented, as the kernels cannot be."""
    shapes = (small.variants[0],)
    shutil.copy(exported["shared"] / "small.h", tmp_path)
    sources = write_sources(tmp_path, "small", shapes, session_source(shapes, "small", ExportForm()))
    command = [
        C[0],
        "-std=c11",
        "-D_GNU_SOURCE",
        "-g",
        "-O1",
        *STRICT[:2],
        "-Werror",
        "-fsanitize=address,undefined",
        "-fno-sanitize-recover",
        "-pthread",
        "-I.",
        HERE / "misuse.c",
        *sources,
        "-lm",
        "-o",
        "misuse",
    ]
    made = subprocess.run(list(map(str, command)), cwd=tmp_path, capture_output=True, text=True)
    if "cannot find" in made.stderr:
        pytest.skip("the sanitizer's library is not installed")
    assert made.returncode == 0, made.stderr
    assert run(tmp_path, "./misuse", exported["shared"] / "small.selftest", ASAN_OPTIONS="detect_leaks=1") == "done\n"


@pytest.mark.skipif(not shutil.which("valgrind"), reason="valgrind is not installed")
def test_no_memory_is_left(exported, run):
    run(exported["static"], C[0], "-std=c11", "-g", "-I.", HERE / "misuse.c", *LINKED["static"], "-o", "misuse")
    assert (
        run(
            exported["static"],
            "valgrind",
            "-q",
            "--error-exitcode=9",
            "--leak-check=full",
            "--show-leak-kinds=all",
            "--errors-for-leak-kinds=all",
            "./misuse",
            "small.selftest",
        )
        == "done\n"
    )


def test_answers_are_those_of_the_session(small, exported):
    library = ctypes.CDLL(str(exported["shared"] / "libsmall.so"))
    session, reference = ctypes.c_void_p(), small.session(threads=1)
    assert library.small_create(None, ctypes.byref(session)) == 0
    given, random = np.empty((1, 5), np.float32), np.random.default_rng(3)
    for x in 3 * random.standard_normal((20, 1, 3, 8, 8)).astype(np.float32):
        source, sink = ((ctypes.c_void_p * 2)(array.ctypes.data, array.nbytes) for array in (x, given))
        assert library.small_run(session, source, sink) == 0
        assert given.tobytes() == reference.run({"x": x})["y"].tobytes()
    library.small_destroy.argtypes = [ctypes.c_void_p]
    library.small_destroy(session)


@pytest.mark.parametrize("form", ["shared", "mapped"])
def test_it_needs_the_c_library_only(exported, run, form):
    symbols = [line.split()[-2:] for line in run(exported[form], "nm", "-D", "libsmall.so").splitlines()]
    assert sorted(name for kind, name in symbols if kind == "T") == [
        f"small_{name}" for name in ("create", "destroy", "input", "message", "output", "run")
    ]
    assert {kind for kind, _ in symbols} <= {"T", "U", "w"}
    assert all("@GLIBC_" in name for kind, name in symbols if kind == "U"), symbols
    needed = re.findall(r"NEEDED.*\[(.*)\]", run(exported[form], "readelf", "-d", "libsmall.so"))
    assert set(needed) <= {"libc.so.6", "libm.so.6", "libpthread.so.0", "ld-linux-x86-64.so.2"}


def test_an_archive_has_no_other_global_names(exported, run):
    names = [
        line.split()
        for line in run(exported["static"], "nm", "-g", "--defined-only", "libsmall.a").splitlines()
        if " " in line
    ]
    assert names and all(name[-1].startswith("small_") for name in names), names


def test_a_flipped_bit_is_an_error(exported, run, tmp_path):
    """The file of weights is of the network by its digest at the end, which nobody computes again: the answer's own
    check says it."""
    shutil.copytree(exported["mapped"], tmp_path / "flipped")
    run(tmp_path / "flipped", C[0], "-std=c99", "main.c", *LINKED["mapped"], "-o", "selftest")
    weights = bytearray((tmp_path / "flipped/small.weights").read_bytes())
    said = set()
    for place in range(0, len(weights) - 32, len(weights) // 40):
        weights[place] ^= 64
        (tmp_path / "flipped/small.weights").write_bytes(weights)
        weights[place] ^= 64
        done = subprocess.run(["./selftest"], cwd=tmp_path / "flipped", capture_output=True, text=True)
        said.add(done.stderr.partition(";")[0] or done.stdout)
    assert "small: shape 0: the answer contradicts itself: a bit flipped in memory or in the processor" in said, said
    assert not any("differs" in each for each in said), said


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data[:-1],
        lambda data: data[:-1] + bytes([data[-1] ^ 1]),
        lambda data: b"",
        lambda data: data + b"0",
    ],
)
def test_weights_of_something_else(exported, run, tmp_path, change):
    run(exported["mapped"], C[0], "-std=c99", "main.c", *LINKED["mapped"], "-o", "selftest")
    (tmp_path / "other").write_bytes(change((exported["mapped"] / "small.weights").read_bytes()))
    done = subprocess.run(
        ["./selftest", "small.selftest", tmp_path / "other"], cwd=exported["mapped"], capture_output=True, text=True
    )
    assert (
        done.returncode == 1
        and done.stderr == "small: shape 0: the file of weights cannot be read, or is another network's\n"
    )


@pytest.mark.skipif(not shutil.which("cmake"), reason="cmake is not installed")
@pytest.mark.parametrize("form", ["static", "mapped"])
def test_cmake(exported, run, tmp_path, form):
    run(tmp_path, "cmake", "-S", exported[form], "-B", "build")
    run(tmp_path, "cmake", "--build", "build")
    assert "100% tests passed" in run(tmp_path, "ctest", "--test-dir", "build")
