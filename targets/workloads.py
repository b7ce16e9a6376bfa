"""Workloads of any target, read back from JSON."""

from .cuda import workload as cuda
from .x86 import workload as x86


def workload_from(entry: dict) -> "x86.Workload | cuda.CudaWorkload":
    """Raises KeyError, TypeError or ValueError for an entry of another structure."""
    return cuda.from_dict(entry) if entry.get("kind") == cuda.KIND else x86.from_dict(entry)
