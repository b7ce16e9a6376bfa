"""CUDA C++ -> a fatbin with machine code for one architecture and its PTX, by nvcc. Needs the toolkit, neither a GPU nor a driver."""

import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ..errors import TargetError
from .source import DEVICE

# No fast-math and no contraction: the arithmetic contract rounds every product and sum on its own.
FLAGS = ("-std=c++20", "-fmad=false", "-prec-div=true", "-prec-sqrt=true", "-ftz=false", "-Xptxas", "-v")
_USAGE = re.compile(r"Function properties for (\w+)\s+(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads\s+ptxas info\s+: Used (\d+) registers")


@dataclass(frozen=True)
class Usage:
    """What one kernel takes of a multiprocessor. registers: per thread. stack, spills: bytes of local memory per thread."""

    registers: int
    stack: int
    spills: int


def find_nvcc() -> str:
    """The path of nvcc: the environment's NVCC, PATH, CUDA_HOME, CUDA_PATH, /usr/local/cuda. Raises TargetError."""
    named = os.environ.get("NVCC")
    if named is not None and shutil.which(named) is None:
        raise TargetError(f"NVCC is {named}, which is no program; name nvcc of the CUDA toolkit (12.4 or newer), or unset NVCC")
    roots = [os.environ.get("CUDA_HOME"), os.environ.get("CUDA_PATH"), "/usr/local/cuda"]
    places = [named, "nvcc", *(str(Path(root) / "bin" / "nvcc") for root in roots if root)]
    found = next((path for place in places if place and (path := shutil.which(place))), None)
    if found is None:
        raise TargetError("CUDA targets need nvcc, which was not found; install the CUDA toolkit (12.4 or newer; no GPU is needed), or set NVCC to its path")
    return found


def compile_fatbin(text: str, arch: int) -> tuple[bytes, dict[str, Usage]]:
    """(fatbin, what each kernel uses). Raises TargetError where nvcc is missing or does not know the architecture."""
    return _compiled(text, arch, ("-fatbin", "-gencode", f"arch=compute_{arch},code=[sm_{arch},compute_{arch}]"))


def compile_cubin(text: str, arch: int) -> tuple[bytes, dict[str, Usage]]:
    """(machine code alone, what each kernel uses); errors as of `compile_fatbin`."""
    return _compiled(text, arch, ("-cubin", f"-arch=sm_{arch}"))


def _compiled(text, arch, kind):
    nvcc = find_nvcc()
    with tempfile.TemporaryDirectory() as folder:
        path, out = Path(folder) / "kernels.cu", Path(folder) / "kernels.out"
        path.write_text(text)
        done = subprocess.run([nvcc, *FLAGS, *kind, f"-I{DEVICE}", str(path), "-o", str(out)], capture_output=True, text=True)
        if done.returncode != 0:
            raise TargetError(f"{nvcc} failed for sm_{arch}: {_reason(done.stderr)}; the CUDA toolkit must be 12.4 or newer and know the architecture")
        return out.read_bytes(), usage(done.stderr)


def usage(text: str) -> dict[str, Usage]:
    """ptxas -v's report."""
    return {name: Usage(int(registers), int(stack), int(stores) + int(loads)) for name, stack, stores, loads, registers in _USAGE.findall(text)}


def _reason(text):
    lines = [line.strip() for line in text.splitlines() if "error" in line.lower() or "fatal" in line.lower()]
    return lines[0] if lines else (text.strip().splitlines() or ["no message"])[-1]
