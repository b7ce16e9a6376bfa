"""The CUDA targets: what the schedules and the compiler ask of each.

A variant for sm_XY runs on devices of the same major version from minor Y on, as machine code, and on later ones
through its PTX; one for sm_XYa on devices of exactly that version, and has no PTX."""

from ..spec import TargetSpec
from .backend import CudaBackend


def _spec(
    code: int | str,
    dot: str,
    multiprocessors: int,
    shared_bytes: int,
    macs_per_clock: int,
    stages: int,
    threads: int,
    cache_bytes: int,
    memory_bytes: int,
) -> TargetSpec:
    """The target of one architecture. code: what compilers call the architecture. multiprocessors: of a typical device.
    shared_bytes: most dynamic shared memory of a block. macs_per_clock: int8, of one multiprocessor (CUDA C++
    Programming Guide, compute capabilities; data sheets). stages: of the pipeline that loads tiles. threads: most of a
    multiprocessor. Per clock and multiprocessor: cache_bytes, from the second-level cache (about half of what the
    crossbar is said to carry; sm_90: fitted); memory_bytes, from memory (data sheets, 9/10 of the peak)."""
    arch = int(str(code).removesuffix("a"))
    extra = {
        "arch": arch,
        "code": code,
        "multiprocessors": multiprocessors,
        "shared_bytes": shared_bytes,
        "macs_per_clock": macs_per_clock,
        "stages": stages,
        "threads": threads,
        "cache_bytes": cache_bytes,
        "memory_bytes": memory_bytes,
    }
    return TargetSpec(
        f"cuda-sm{code}",
        f"sm_{code}",
        frozenset({f"cuda_sm{code}"}),
        dot,
        128,
        100 + arch + (code != arch),
        kind=CudaBackend.kind,
        native=False,
        machine="",
        extra=extra,
    )


SPECS = (
    # The P4 and the GTX 1080 have no tensor cores and no ldmatrix.
    _spec(61, "dp4a", 20, 48 << 10, 512, 2, 2048, 24, 7),
    _spec(75, "mma8816", 40, 64 << 10, 1024, 2, 1024, 24, 5),  # The T4 has no asynchronous copies, hence two stages.
    _spec(80, "mma16832", 108, 163 << 10, 2048, 4, 2048, 32, 9),  # The figures are those of an A100.
    _spec(86, "mma16832", 84, 99 << 10, 1024, 3, 1536, 20, 4),  # The figures are those of an A10 or RTX 3090.
    _spec(89, "mma16832", 58, 99 << 10, 1024, 3, 1536, 24, 2),  # The figures are those of an L4.
    _spec(90, "mma16832", 132, 227 << 10, 2048, 4, 2048, 40, 12),  # The H100 and H200 run this one by mma.sync.
    _spec("90a", "wgmma", 132, 227 << 10, 4096, 4, 2048, 40, 12),  # Code of 90a runs on the H100 and H200 alone.
)
