"""Operands for measuring a kernel of any target."""

from ..targets.cuda.workload import CudaWorkload
from ..targets.x86.workload import Workload
from .portable import CudaCase, portable
from .referee import Case
from .referee import case_of as x86_case


def case_of(workload: Workload | CudaWorkload) -> Case | CudaCase:
    """The case that a target's builder and runner take."""
    return portable(workload) if isinstance(workload, CudaWorkload) else x86_case(workload)
