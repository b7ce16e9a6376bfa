"""Workloads of any target, read back from JSON."""

from .cuda import workload as cuda
from .cuda.generated import nest
from .x86 import workload as x86

_READ = {nest.KIND: nest.from_dict, cuda.KIND: cuda.from_dict}


def workload_from(entry: dict) -> "x86.Workload | cuda.CudaWorkload | nest.NestWorkload":
    """Raises LookupError, TypeError, ValueError, AttributeError or ArithmeticError for an entry of another structure."""
    return _READ.get(entry.get("kind"), x86.from_dict)(entry)
