"""Every kind of workload, of any target."""

from ...targets.spec import TargetSpec
from ...targets.x86.conv.problem import ConvProblem
from ...targets.x86.matmul.problem import MatmulProblem
from ...targets.x86.windows.pooling import PoolProblem
from ...targets.x86.workload import Workload
from ..portable_case import portable_case
from ..spaces import cuda_families
from ..spaces.space import Space
from . import conv, elementwise, matmul, rows, windows
from .kind import Kind

CUDA = Kind(portable_case, cuda_families.spaces_of, cuda_families.SCHEDULES)
KINDS: dict[type, Kind] = {
    ConvProblem: conv.KIND,
    MatmulProblem: matmul.KIND,
    PoolProblem: windows.KIND,
    **elementwise.KINDS,
    **rows.KINDS,
}
SCHEDULES = {family: made for kind in (*KINDS.values(), CUDA) for family, made in kind.schedules.items()}


def kind_of(workload) -> Kind:
    return KINDS[type(workload.problem)] if isinstance(workload, Workload) else CUDA


def case_of(workload):
    """What a target's builder and runner take: a Case, or a CudaCase."""
    return kind_of(workload).case(_subject(workload))


def spaces_of(workload, spec: TargetSpec) -> list[Space]:
    """The space of the family that the target takes by default, then those of the others that could."""
    return kind_of(workload).spaces(_subject(workload), spec)


def _subject(workload):
    """What a kind's functions are about: of x86 the problem; of CUDA the workload, which is a problem and an
    epilogue."""
    return workload.problem if isinstance(workload, Workload) else workload
