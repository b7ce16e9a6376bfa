"""A kernel: an instance of a template of `device/*.cuh` with everything known at compile time, and how it is
launched."""

from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class CudaKernel:
    """A kernel and how it is launched, before it is compiled. family: what a user sees, e.g. "mma_conv2d". header: file
    of `device/`. call: the template instance, C++. operands: number of its arguments: inputs, constants, result. grid:
    blocks (x, y, z). block: threads. shared: bytes of dynamic shared memory. prelude: definitions that `call` names.
    state: bytes of memory that is zero before and after every launch, the operand before the result; 0 for none.
    results: how many of the last operands it writes. resident: blocks that share a multiprocessor, for which the
    compiler leaves registers. Equal kernels are compiled once."""

    family: str
    header: str
    call: str
    operands: int
    grid: tuple[int, int, int]
    block: int
    shared: int = 0
    prelude: tuple[str, ...] = ()
    state: int = 0
    results: int = 1
    resident: int = 1

    def __post_init__(self) -> None:
        assert self.block % 32 == 0 and 32 <= self.block <= 1024, self.block
        assert all(extent >= 1 for extent in self.grid) and self.grid[1] < 65536 and self.grid[2] < 65536, self.grid

    def source(self, name: str) -> str:
        """The `__global__` function of that name; the last operands are the results."""
        names = [f"a{i}" for i in range(self.operands)]
        read = len(names) - self.results - (1 if self.state else 0)
        declared = [f"{'const ' if i < read else ''}void* __restrict__ {name}" for i, name in enumerate(names)]
        bounds = f"__launch_bounds__({self.block}, {self.resident})"
        return (
            f'extern "C" __global__ void {bounds} {name}({", ".join(declared)}) {{'
            f"\n  {self.call}({', '.join(names)});\n}}\n"
        )


def blocks(threads: int, block: int) -> tuple[int, int, int]:
    """The grid of a kernel with one thread per piece of work."""
    return (max(1, -(-threads // block)), 1, 1)


def bits(value: float) -> str:
    """A float32 as C++ template arguments take it: its bits."""
    return f"0x{int(np.float32(value).view(np.uint32)):08x}u"


def literal(value: Any) -> str:
    """C++ for a Python value; a dataclass is the aggregate of the same name and field order. float: its float32
    bits."""
    if is_dataclass(value):
        inner = ", ".join(literal(getattr(value, field.name)) for field in fields(value))
        return f"{type(value).__name__}{{{inner}}}"
    if isinstance(value, (tuple, list)):
        return "{" + ", ".join(map(literal, value)) + "}"
    if isinstance(value, bool):
        return "true" if value else "false"
    return bits(value) if isinstance(value, float) else str(int(value))
