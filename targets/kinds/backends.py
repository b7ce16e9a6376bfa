"""The table of backends. Here, and in the tables of `passes/lower` and `tuning`, a kind of target is looked up by name;
nowhere is it compared."""

from typing import Literal

from ..cpu.backend import CpuBackend
from ..cuda.backend import CudaBackend
from .backend import Backend

BACKENDS: dict[str, Backend] = {backend.kind: backend for backend in (CpuBackend(), CudaBackend())}
PROCESSORS = CpuBackend.kind  # Entries that do not say their kind have this one.
Kind = Literal[*BACKENDS]  # type: ignore[valid-type] # of a field that a file holds: msgspec reads it, and a checker cannot
