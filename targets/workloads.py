"""Workloads of any target, read back from JSON."""

from .cuda import workload as cuda
from .cuda.generated import nest
from .x86 import workload as x86


CUDA = (cuda.CudaWorkload, nest.NestWorkload)


def workload_from(entry: dict) -> "x86.Workload | cuda.CudaWorkload | nest.NestWorkload":
    """Raises LookupError, TypeError, ValueError, AttributeError or ArithmeticError for an entry of another structure."""
    if entry.get("kind") == nest.KIND:
        return nest.from_dict(entry)
    return cuda.from_dict(entry) if entry.get("kind") == cuda.KIND else x86.from_dict(entry)
