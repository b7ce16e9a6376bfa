"""The space of generated kernels: MetaSchedule's stock rules (targets/cuda/generated/stock.py)."""

from math import log2, prod

from ...targets.cuda.generated.nest import NestWorkload
from ...targets.cuda.generated.stock import Stock, stock_choices
from ...targets.spec import TargetSpec
from .space import Space, choices, fixed


def space(workload: NestWorkload, spec: TargetSpec) -> Space:
    default = Stock()
    found = {
        name: choices(*values, getattr(default, name)) for name, values in stock_choices(workload.function).items()
    }
    return Space(
        "stock", workload, fixed(default, found), Stock, default, lambda s: True, lambda s: _features(workload, s, spec)
    )


def _features(workload, s, spec):
    """Logarithms of: results, blocks per multiprocessor, threads of a block, iterations per result; unrolling."""
    results = max(prod(workload.result[0]), 1)
    blocks = -(-results // s.threads)
    return [
        *(
            log2(x)
            for x in (results, blocks / spec.extra["multiprocessors"], s.threads, workload.multiply_adds / results)
        ),
        log2(1 + s.unroll),
    ]
