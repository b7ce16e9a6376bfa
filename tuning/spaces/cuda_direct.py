"""The space of convolutions with a thread per result and dp4a (conv_direct of targets/cuda/device/conv_direct.cuh)."""

from math import log2

from ...targets.cuda.kernels.conv_schedule import Direct
from ...targets.cuda.workload import CudaWorkload
from ...targets.spec import TargetSpec
from .space import Space

DEFAULT = Direct(256)


def space(workload: CudaWorkload, spec: TargetSpec) -> Space:
    p = workload.problem
    decisions = {"threads": (32, 64, 128, 256, 512, 1024)}
    return Space("dp4a_direct", p, decisions, Direct, DEFAULT, lambda s: True, lambda s: _features(p, s, spec))


def _features(p, s, spec):
    """Logarithms of: results, blocks per multiprocessor, threads of a block, products of a sum."""
    results = p.pixels * p.groups * p.outputs
    blocks = -(-results // s.threads)
    return [
        log2(x)
        for x in (
            results,
            blocks / spec.extra["multiprocessors"],
            s.threads,
            p.channels * p.kernel_height * p.kernel_width,
        )
    ]
