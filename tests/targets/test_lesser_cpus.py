"""This machine taken for a lesser one (OCTET_CPU): the commands, and a part of the suite in which kernels of every
level run."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from octet.targets import detect
from octet.targets.package import read_package
from octet.targets.registry import TARGETS

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import small_network

ROOT = Path(__file__).resolve().parent.parent.parent
LEAST = "x86-64-v3"
# Emulation of every level, whole small networks, packages and sessions.
PART = [
    *(
        f"tests/x86/test_levels.py::test_every_level_gives_the_same_bytes[{level}]"
        for level in ("x86-64-v3", "avx512vnni", "amx")
    ),
    "tests/x86/test_emulated_packages.py::test_a_package_is_emulated",
    "tests/x86/test_fallback.py",
    "tests/targets/test_runtime.py",
    "tests/targets/test_package.py::test_round_trip",
    "tests/targets/test_package.py::test_self_test_passes_and_fails",
]
GREATER = next(
    (spec.name for spec in TARGETS.values() if spec.machine == "x86_64" and spec.features - detect.own_features()), None
)


def octet(level, *arguments, **options):
    return subprocess.run(
        [sys.executable, "-c", "from octet.tools.main import main; main()", *map(str, arguments)],
        env=os.environ | {"OCTET_CPU": level},
        capture_output=True,
        text=True,
        **options,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return small_network.write(tmp_path_factory.mktemp("small"))


def test_commands_know_the_lesser_machine(folder, tmp_path):
    figures, package = tmp_path / "figures.json", tmp_path / "small.octet"
    done = octet(LEAST, "targets", "--json", figures)
    assert done.returncode == 0 and f"taken for one of {LEAST} (OCTET_CPU)" in done.stdout
    found = json.loads(figures.read_text())
    assert found["native"] == found["taken_for"] == LEAST and [
        name for name, target in found["targets"].items() if target["runs_here"] and not name.startswith("cuda")
    ] == [LEAST]
    made = octet(
        LEAST,
        "compile",
        folder / "small.onnx",
        "--calib",
        folder / "calib.npz",
        "-o",
        package,
        "--target",
        "native",
        "--target",
        "x86-64-v4",
        "--threads",
        1,
    )
    assert made.returncode == 0, made.stderr
    assert [variant.target for variant in read_package(package).variants] == [LEAST, "x86-64-v4"]
    checked = octet(LEAST, "verify", package)
    assert (
        f"{LEAST}: byte for byte" in checked.stdout and "x86-64-v4: not run, this CPU lacks avx512bw" in checked.stdout
    )
    emulated = octet(LEAST, "verify", package, "--emulate")
    assert emulated.returncode == 0 and "x86-64-v4 (emulated): byte for byte as recorded" in emulated.stdout


@pytest.mark.parametrize(
    "level, said",
    [("pentium", "unknown; take a level of this CPU: "), *([(GREATER, "this CPU lacks ")] if GREATER else [])],
)
@pytest.mark.parametrize("command", [["targets"], ["inspect", "no.octet"]], ids=lambda command: command[0])
def test_a_level_that_cannot_be_is_one_line(level, said, command, toy_package):
    command = [toy_package if word == "no.octet" else word for word in command]
    done = octet(level, *command)
    assert (
        done.returncode == 2
        and done.stderr.count("\n") == 1
        and f"OCTET_CPU={level}: {said}" in done.stderr
        and not done.stdout
    )


@pytest.mark.skipif(detect.native().name == LEAST, reason="this machine is no better than the least")
def test_a_part_of_the_suite():
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "-p", "no:cacheprovider", *PART],
        cwd=ROOT,
        env=os.environ | {"OCTET_CPU": LEAST},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and " passed" in done.stdout, done.stdout[-4000:]
