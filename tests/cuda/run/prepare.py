"""Writes the folder for on_device.py, on a machine with nvcc (or NVRTC), TVM and, for the networks, PyTorch; no GPU.

usage: python tests/cuda/run/prepare.py FOLDER [--target cuda-sm90a] [--parts
lib,digits,cases,tiles,micro,products,networks,candidates]

What the device must answer is computed here: by the referee for kernels, by this CPU's variant for networks. Compiled
code is kept in build/gpu-prepare, by its source."""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import prepare_cases
import prepare_networks
import prepare_tiles
from building import Compiler

from octet.targets import detect

ROOT = HERE.parents[2]
PYTHON = "3.12"  # The machine with the GPU has it.
_MANYLINUX = ("_2_28", "_2_17", "2014")
_MOST = 60 << 20  # A folder that travels may have so many bytes.
_RUNTIME = ("__init__.py", "targets", "tools/__init__.py", "tools/random_inputs.py")
SMALL = {
    "options": {"replays": 4, "every": 2, "passes": 1, "repeat": 1, "launches": 1}
}  # The emulated driver does it in seconds.


def prepare(folder: Path, target: str, parts, compiler: Compiler, small: bool = False) -> None:
    """parts: names of PARTS, in order; what is there of the others stays. small: for the emulated driver."""
    folder.mkdir(parents=True, exist_ok=True)
    spec, plan = detect.resolve(target), folder / "plan.json"
    found = (
        json.loads(plan.read_text())
        if plan.is_file()
        else {"target": target, "memcheck": {}, "racecheck": {}, "ncu": {}, **(SMALL if small else {})}
    )
    for part in parts:
        started = time.monotonic()
        PARTS[part](folder, spec, compiler, found, small)
        plan.write_text(json.dumps(found, indent=1))
        print(f"{part}: {time.monotonic() - started:.0f} s, {_size(folder) / 1e6:.1f} MB in all", flush=True)
    if _size(folder) > _MOST:
        raise SystemExit(f"{folder} has {_size(folder) / 1e6:.0f} MB, more than travels")


def _library(folder, spec, compiler, found, small):
    """Octet's runtime: what `octet.load` and `octet measure` need. And the command itself, so that the folder alone is
    enough."""
    shutil.rmtree(folder / "run", ignore_errors=True)
    shutil.copytree(
        HERE, folder / "run", ignore=shutil.ignore_patterns("__pycache__", "prepare*.py", "building.py", "*.cu")
    )
    shutil.copyfile(HERE.parent / "on_device.py", folder / "on_device.py")
    library = folder / "lib" / "octet"
    shutil.rmtree(folder / "lib", ignore_errors=True)
    for name in _RUNTIME:
        (library / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, library / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(ROOT / name, library / name)
    if not small:
        _unpack_wheel(f"msgspec=={version('msgspec')}", folder / "lib")


def _unpack_wheel(requirement, library):
    """What Octet's runtime needs beside NumPy, for the Python of the machine with the GPU."""
    with tempfile.TemporaryDirectory(prefix="octet-wheel-") as wheels:
        there = (
            "--only-binary=:all:",
            "--implementation",
            "cp",
            "--python-version",
            PYTHON,
            *(f"--platform=manylinux{name}_x86_64" for name in _MANYLINUX),
        )
        subprocess.run(
            [
                sys.executable,
                "-m",
                "pip",
                "download",
                "--quiet",
                "--disable-pip-version-check",
                "--no-deps",
                *there,
                "-d",
                wheels,
                requirement,
            ],
            check=True,
        )
        for path in Path(wheels).glob("*.whl"):
            with zipfile.ZipFile(path) as wheel:
                wheel.extractall(library)


def _micro(folder, spec, compiler, found, small):
    (folder / "micro.cubin").write_bytes(compiler.plain_cubin(HERE / "micro.cu", "arch=compute_90a,code=sm_90a"))


PARTS = {
    "lib": _library,
    "digits": prepare_networks.digits,
    "cases": prepare_cases.cases,
    "tiles": prepare_tiles.tiles_of,
    "micro": _micro,
    "products": prepare_networks.products,
    "networks": prepare_networks.networks,
    "candidates": prepare_tiles.candidates_of,
}


def _size(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--target", default="cuda-sm90a")
    parser.add_argument("--parts", default=",".join(PARTS))
    options = parser.parse_args(arguments)
    prepare(options.folder, options.target, options.parts.split(","), Compiler(ROOT / "build" / "gpu-prepare"))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
