"""What an installed octet holds: every folder with sources, nothing more."""

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from octet.passes import environment

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("passes", "targets", "tuning", "tools")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def sources(room):
    """Python, and the CUDA C++ that is compiled with the user's kernels."""
    return [path for pattern in ("*.py", "*.cuh") for path in (ROOT / room).rglob(pattern)]


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
        assert (ROOT.joinpath(*name.split(".")[1:]) / "__init__.py").is_file(), f"{name} has no __init__.py: it would be missing from a wheel"


def test_pins_are_those_of_the_start_up_check():
    pins = dict(line.split("==") for line in PROJECT["project"]["dependencies"] if "==" in line)
    assert pins == {"apache-tvm": environment.TVM[0], "apache-tvm-ffi": environment.TVM_FFI[0]}


def test_version_has_one_source():
    assert environment.version("octet") == PROJECT["project"]["version"], "the installed octet is of another version: run pip install -e . again"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel built from a clean copy, so that no stale build/ folder can hide or add a module."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE", "__init__.py"):
        (source / name).write_bytes((ROOT / name).read_bytes())
    for room in ROOMS:
        for path in sources(room):
            copy = source / path.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(out), str(source)]
    built = subprocess.run(command, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return next(out.glob("*.whl"))


def test_wheel_holds_every_module_and_only_octet(wheel):
    with zipfile.ZipFile(wheel) as file:
        names = {name for name in file.namelist() if ".dist-info/" not in name}
    expected = {f"octet/{path.relative_to(ROOT)}" for room in ROOMS for path in sources(room)} | {"octet/__init__.py"}
    assert names == expected


def test_wheel_has_the_commands_and_the_licence(wheel):
    with zipfile.ZipFile(wheel) as file:
        info = {name.split(".dist-info/")[1]: file.read(name).decode() for name in file.namelist() if ".dist-info/" in name}
    assert "octet = octet.tools.main:main" in info["entry_points.txt"] and "compile-model = octet.tools.main:compile_model" in info["entry_points.txt"]
    assert "Apache License" in info["licenses/LICENSE"]
