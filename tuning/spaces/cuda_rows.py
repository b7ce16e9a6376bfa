"""The space of linear layers of a few rows, a warp per column (dense_rows of targets/cuda/device/conv_direct.cuh)."""

from math import log2

from ...targets.cuda.kernels.conv_schedule import Rows
from ...targets.cuda.workload import CudaWorkload
from ...targets.spec import TargetSpec
from .space import Space

DEFAULT = Rows(4)


def space(workload: CudaWorkload, spec: TargetSpec) -> Space:
    p = workload.problem
    decisions = {"warps": (1, 2, 4, 8, 16)}
    return Space("dp4a_rows", p, decisions, Rows, DEFAULT, lambda s: True, lambda s: _features(p, s, spec))


def _features(p, s, spec):
    """Logarithms of: blocks per multiprocessor, warps of a block, bytes of a row of weights; rows."""
    blocks = -(-p.outputs // s.warps)
    return [*(log2(x) for x in (blocks / spec.extra["multiprocessors"], s.warps, p.stride)), float(p.images)]
