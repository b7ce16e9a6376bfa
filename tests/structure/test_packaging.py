"""What an installed octet holds: every folder with sources, nothing more."""

import ast
import os
import re
import subprocess
import sys
import tomllib
import venv
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import pytest

from octet.passes import environment

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("passes", "targets", "tuning", "tools")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def sources(room):
    """Python, and the C and CUDA C++ that is compiled with the user's kernels."""
    return [path for pattern in ("*.py", "*.cuh", "*.c", "*.h") for path in (ROOT / room).rglob(pattern)]


def folders_with_sources():
    found = {path.parent.relative_to(ROOT) for room in ROOMS for path in (ROOT / room).rglob("*.py")}
    return {"octet"} | {".".join(("octet", *folder.parts)) for folder in found}


def test_package_list_is_the_folders():
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == folders_with_sources()


def test_package_dirs_match_their_names():
    folders = PROJECT["tool"]["setuptools"]["package-dir"]
    assert folders == {name: "/".join(name.split(".")[1:]) or "." for name in PROJECT["tool"]["setuptools"]["packages"]}


def test_every_folder_is_a_package():
    for name in folders_with_sources() - {"octet"}:
        assert (ROOT.joinpath(*name.split(".")[1:]) / "__init__.py").is_file(), (
            f"{name} has no __init__.py: it would be missing from a wheel"
        )


def test_pins_are_those_of_the_start_up_check():
    pins = dict(line.split("==") for line in PROJECT["project"]["optional-dependencies"]["compile"] if "==" in line)
    assert pins == {"apache-tvm": environment.TVM[0], "apache-tvm-ffi": environment.TVM_FFI[0]}


def test_version_has_one_source():
    assert environment.version("octet") == PROJECT["project"]["version"], (
        "the installed octet is of another version: run pip install -e . again"
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel built from a source distribution, that from a clean copy, so that no stale build/ folder can hide or add
    a module."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE", "__init__.py", "api.py", "py.typed"):
        (source / name).write_bytes((ROOT / name).read_bytes())
    for room in ROOMS:
        for path in sources(room):
            copy = source / path.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    packed = "import sys; from setuptools import build_meta; print(build_meta.build_sdist(sys.argv[1]))"
    built = subprocess.run([sys.executable, "-c", packed, str(out)], cwd=source, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    (sdist,) = out.glob("*.tar.gz")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        str(out),
        str(sdist),
    ]
    built = subprocess.run(command, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return next(out.glob("*.whl"))


def test_wheel_holds_every_module_and_only_octet(wheel):
    with zipfile.ZipFile(wheel) as file:
        names = {name for name in file.namelist() if ".dist-info/" not in name}
    expected = {f"octet/{path.relative_to(ROOT)}" for room in ROOMS for path in sources(room)} | {
        "octet/__init__.py",
        "octet/api.py",
        "octet/py.typed",
    }
    assert names == expected


def test_wheel_has_the_commands_and_the_licence(wheel):
    with zipfile.ZipFile(wheel) as file:
        info = {
            name.split(".dist-info/")[1]: file.read(name).decode() for name in file.namelist() if ".dist-info/" in name
        }
    assert (
        "octet = octet.tools.main:main" in info["entry_points.txt"]
        and "compile-model = octet.tools.main:compile_model" in info["entry_points.txt"]
    )
    assert "Apache License" in info["licenses/LICENSE"]


@pytest.fixture(scope="module")
def serving(wheel, tmp_path_factory):
    """The interpreter of an environment with octet and what it depends on, and nothing else."""
    folder = tmp_path_factory.mktemp("serving")
    venv.create(folder, with_pip=False)
    site = next(folder.glob("lib/python*/site-packages"))
    with zipfile.ZipFile(wheel) as file:
        file.extractall(site)
    wanted = {re.match(r"[\w.-]+", line)[0] for line in PROJECT["project"]["dependencies"]} | {
        "markdown-it-py",
        "mdurl",
        "pygments",
    }  # They come with rich.
    for name in wanted:
        for top in {
            file.parts[0] for file in distribution(name).files or [] if file.parts[0] not in ("..", "__pycache__")
        }:
            (site / top).symlink_to(distribution(name).locate_file(top))
    return folder / "bin" / "python"


def in_environment(python, *command, **environment):
    return subprocess.run([python, "-I", *map(str, command)], capture_output=True, text=True, env=environment)


def test_a_package_runs_where_neither_tvm_nor_a_compiler_is(serving, toy_package, tmp_path):
    code = """if True:
        import sys, numpy, octet
        with octet.load(sys.argv[1], threads=2) as session:
            y = session.run({"x": numpy.ones((4, 16), numpy.float32)})["y"]
        assert (y == 2 + numpy.arange(16)).all()
        assert "numpy.ma" not in sys.modules, "importing it takes longer than all of ours"
        others = {name.partition(".")[0] for name in sys.modules} - set(sys.stdlib_module_names)
        print(sorted(name for name in others if not name.startswith("_")))
    """
    ran = in_environment(serving, "-c", code, toy_package)
    assert ran.returncode == 0, ran.stderr
    mine = {"numpy", "msgspec", "octet", "typing_extensions"}
    assert set(ast.literal_eval(ran.stdout)) <= mine | {"sitecustomize"}  # Some distributions add it to Python.


PACKAGES = sorted(Path(os.environ.get("OCTET_PACKAGES") or "no folder").glob("*.octet"))


@pytest.mark.skipif(not PACKAGES, reason="OCTET_PACKAGES names no folder with packages that were compiled before")
@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.stem)
def test_packages_compiled_before_run_there(serving, package):
    """Real networks: each of their variants that this machine runs gives the recorded bytes, and threads of one session
    the same ones."""
    code = """if True:
        import importlib.util, sys, threading, numpy, octet
        from octet.targets.package import failed_outputs, read_package
        assert all(importlib.util.find_spec(name) is None for name in ("tvm", "tvm_ffi", "onnx", "scipy", "psutil"))
        selftest = read_package(sys.argv[1]).selftest
        with octet.load(sys.argv[1], threads=1, streams=2) as session:
            failed = []
            run = lambda: failed.append(failed_outputs(session, selftest))
            threads = [threading.Thread(target=run) for _ in range(2)]
            [thread.start() for thread in threads], [thread.join() for thread in threads]
            assert selftest and failed == [(), ()], failed
    """
    ran = in_environment(serving, "-c", code, package)
    assert ran.returncode == 0, ran.stderr
    ran = in_environment(serving, "-c", "from octet.tools.main import main; main()", "verify", package)
    assert ran.returncode == 0 and "byte for byte as recorded" in ran.stdout, ran.stdout + ran.stderr


def test_commands_there(serving, toy_package, tmp_path):
    np.savez(tmp_path / "in.npz", x=np.ones((4, 16), np.float32))
    octet = ("-c", "from octet.tools.main import main; main()")
    for command in (
        ("run", toy_package, "--input", tmp_path / "in.npz", "--output", tmp_path / "out.npz"),
        ("bench", toy_package),
        ("inspect", toy_package, "--self-test"),
        ("verify", toy_package),
    ):
        ran = in_environment(serving, *octet, *command)
        assert ran.returncode == 0, ran.stderr
    assert (np.load(tmp_path / "out.npz")["y"] == 2 + np.arange(16)).all()
    for command, extra in (
        (
            (
                "compile",
                ROOT / "examples/digits/digits.onnx",
                "--calib",
                tmp_path / "in.npz",
                "-o",
                tmp_path / "no.octet",
            ),
            "compile",
        ),
        (("db", "stats", tmp_path / "in.npz"), "tune"),
    ):
        ran = in_environment(serving, *octet, *command)
        assert (
            ran.returncode == 2 and len(ran.stderr.splitlines()) == 1 and f"pip install 'octet[{extra}]'" in ran.stderr
        ), ran.stderr
