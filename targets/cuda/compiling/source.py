"""The one translation unit of a variant: every distinct kernel once, under a name of its own."""

from collections.abc import Iterable
from pathlib import Path

from ..kernel import CudaKernel

DEVICE = Path(__file__).resolve().parents[1] / "device"  # The .cuh files lie here.
EMULATED = """
#include "launch.cuh"
static const octet::Entry entries[] = {{
{entries}}};
extern "C" int octet_emulate(const char* name, const unsigned* grid, const unsigned* block, unsigned shared_bytes, void** arguments, uint64_t seed, char* text, int size) {{
  return octet::emulate(entries, sizeof entries / sizeof *entries, name, grid, block, shared_bytes, arguments, seed, text, size);
}}
extern "C" void* octet_buffer_end(size_t bytes) {{ return octet::buffer_end(bytes); }}
extern "C" void octet_release(void* end, size_t bytes) {{ octet::release(end, bytes); }}
"""


def named(kernels: Iterable[CudaKernel]) -> dict[CudaKernel, str]:
    """A name per distinct kernel, in order of first use."""
    names: dict[CudaKernel, str] = {}
    for kernel in kernels:
        names.setdefault(kernel, f"octet_{len(names)}_{kernel.family}")
    return names


def source(names: dict[CudaKernel, str]) -> str:
    """CUDA C++ of the kernels."""
    headers = sorted({kernel.header for kernel in names})
    functions = "\n".join(kernel.source(name) for kernel, name in names.items())
    preludes = "\n".join(dict.fromkeys(text for kernel in names for text in kernel.prelude))
    return (
        "".join(f'#include "{header}"\n' for header in headers) + f"using namespace octet;\n\n{preludes}\n{functions}"
    )


def emulated_source(text: str, operands: dict[str, int]) -> str:
    """The kernels of `text` for a host compiler, with a table of them behind it. operands: number per name."""
    entries = "".join(
        f'  {{"{name}", [](void** a) {{ {name}({_arguments(count)}); }}, {count}}},\n'
        for name, count in operands.items()
    )
    return text + EMULATED.format(entries=entries)


def _arguments(count: int) -> str:
    return ", ".join(f"*static_cast<void**>(a[{i}])" for i in range(count))
