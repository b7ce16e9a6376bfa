"""CUDA C++ -> a fatbin with machine code for one architecture and its PTX. Needs nvcc, or the pip package of NVRTC;
neither a GPU nor a driver."""

import re
from dataclasses import dataclass

from ...errors import TargetError
from .nvcc import Nvcc, find_nvcc
from .nvrtc import Nvrtc, find_nvrtc
from .source import DEVICE

# Neither fast-math nor contraction is allowed: the arithmetic contract rounds every product and sum on its own.
FLAGS = ("-std=c++20", "-fmad=false", "-prec-div=true", "-prec-sqrt=true", "-ftz=false", "--ptxas-options=-v")
_USAGE = re.compile(
    r"Function properties for (\w+)\s+(?:ptxas\s+\.\s+)?(\d+) bytes stack frame, (\d+) bytes spill stores, "
    r"(\d+) bytes spill loads\s+ptxas info\s+: Used (\d+) registers"
)
_FIRST = 75  # CUDA 13 compiles for no older architecture.
_REMEDIES = {
    True: "pip install 'octet[cuda]', or the CUDA toolkit (12.4 or newer), and set NVCC if it is not on PATH",
    False: "pip install 'octet[pascal]', NVRTC of CUDA 12",
}


@dataclass(frozen=True)
class Usage:
    """What one kernel takes of a multiprocessor. registers: per thread. stack, spills: bytes of local memory per
    thread."""

    registers: int
    stack: int
    spills: int


def find_compiler(arch: int | str) -> Nvcc | Nvrtc:
    """The compiler for an architecture. arch: as compilers call it, e.g. 80 or "90a" (here and below). nvcc where it
    knows the architecture, else NVRTC. Raises TargetError, with the remedy, where neither does."""
    nvcc, number = find_nvcc(), int(str(arch).removesuffix("a"))
    if nvcc is not None and number in nvcc.architectures:
        return nvcc
    found = find_nvrtc(number)
    if found is None:
        lacks = (
            "found neither nvcc nor NVRTC"
            if nvcc is None
            else f"{nvcc.path} makes no code for it, and there is no NVRTC that does"
        )
        raise TargetError(
            f"target cuda-sm{arch} needs a CUDA compiler: {lacks}; {_REMEDIES[number >= _FIRST]} (no GPU is needed)"
        )
    return found


def compile_fatbin(text: str, arch: int | str) -> tuple[bytes, dict[str, Usage]]:
    """(fatbin, what each kernel uses). It has PTX unless the code is for one architecture alone. Raises TargetError
    where no compiler knows the architecture."""
    code, log = find_compiler(arch).fatbin(text, arch, FLAGS, DEVICE)
    return code, usage(log)


def compile_cubin(text: str, arch: int | str) -> tuple[bytes, dict[str, Usage]]:
    """(machine code alone, what each kernel uses); errors as of `compile_fatbin`."""
    code, log = find_compiler(arch).cubin(text, arch, FLAGS, DEVICE)
    return code, usage(log)


def usage(text: str) -> dict[str, Usage]:
    """Registers and spills of every kernel, from the report of ptxas -v."""
    return {
        name: Usage(int(registers), int(stack), int(stores) + int(loads))
        for name, stack, stores, loads, registers in _USAGE.findall(text)
    }
