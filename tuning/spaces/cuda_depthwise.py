"""The space of depthwise convolutions with dp4a (conv_depthwise of targets/cuda/device/conv_direct.cuh)."""

from math import log2

from ...targets.cuda.kernels.conv import default_schedule
from ...targets.cuda.kernels.conv_schedule import Depthwise
from ...targets.cuda.workload import CudaWorkload
from ...targets.spec import TargetSpec
from .space import Space, choices, fixed

BLOCKS = (32, 64, 128, 256, 512)
MOST_RUN = 8
MOST_REGISTERS = 200  # A thread holds four sums per neighbour, and a word per column that they read.


def space(workload: CudaWorkload, spec: TargetSpec) -> Space:
    p, default = workload.problem, default_schedule(workload.problem, spec)
    assert isinstance(default, Depthwise), default
    decisions = {
        "run": choices(default.run, *range(1, min(p.out_width, MOST_RUN) + 1)),
        "threads": choices(default.threads, *BLOCKS),
    }

    def valid(s):
        return 4 * s.run + _columns(p, s) + 40 <= MOST_REGISTERS

    return Space(
        "dp4a_depthwise", p, fixed(default, decisions), Depthwise, default, valid, lambda s: _features(p, s, spec)
    )


def _columns(p, s):
    return (s.run - 1) * p.step_width + p.kernel_width


def _features(p, s, spec):
    """Logarithms of: threads in all, blocks per multiprocessor, threads of a block; words read per neighbour, waste,
    neighbours, taps."""
    runs = -(-p.out_width // s.run)
    work = p.images * p.out_height * runs * (p.stride // 4)
    blocks = -(-work // s.threads)
    logs = [log2(x) for x in (work, blocks / spec.extra["multiprocessors"], s.threads)]
    return [
        *logs,
        _columns(p, s) / s.run,
        runs * s.run / p.out_width,
        float(s.run),
        float(p.kernel_height * p.kernel_width),
        float(p.step_width),
    ]
