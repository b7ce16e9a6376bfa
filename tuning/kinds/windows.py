"""Pooling on x86."""

from ...passes.referee.floats import FLOAT
from ...passes.referee.integer import INTEGER
from ...passes.referee.movement import MOVEMENT
from ...targets.spec import TargetSpec
from ...targets.x86.isa import building_for
from ...targets.x86.vector_loops import default_loops
from ...targets.x86.windows.average import AverageSchedule, avg_pool2d, default_schedule
from ...targets.x86.windows.maximum import max_pool2d
from ...targets.x86.windows.pooling import PoolProblem
from ..seeded_operands import DATA, answer, case_of_operands, image_of, made
from ..spaces import byte_loops, windows
from ..spaces.space import Space
from .elementwise import FAMILY, SCHEDULES as LOOPS
from .kind import Case, Kernel, Kind

_AVERAGE = "average"


def case_of(p: PoolProblem) -> Case:
    operand = made(DATA, p.source.elements, p.source.storage)
    attrs = {
        "pool_size": p.size,
        "strides": p.strides,
        "padding": p.padding,
        "dilation": p.dilation,
        "count_include_pad": p.count_include_pad,
        "ceil_mode": False,
        "layout": "NCHW",
        "data_zero_point": p.data_zero_point,
        "out_zero_point": p.out_zero_point,
        "multiplier": p.multiplier,
        "clip_min": p.clip_min,
        "clip_max": p.clip_max,
    }
    referee = (
        MOVEMENT["relax.nn.max_pool2d"]
        if p.kind == "max"
        else INTEGER["octet.avg_pool2d"]
        if p.dtype == "int8"
        else FLOAT["relax.nn.avg_pool2d"]
    )
    return Case(
        **case_of_operands(operand), constants={}, **answer(referee([image_of(operand[0], p.source)], attrs), p.target)
    )


def kernel_of(p: PoolProblem, case: Case, schedule, spec: TargetSpec) -> Kernel:
    template, default, family = (
        (max_pool2d, default_loops, FAMILY) if p.kind == "max" else (avg_pool2d, default_schedule, _AVERAGE)
    )
    schedule = schedule if schedule is not None else default(p)
    with building_for(spec.dot):
        return Kernel(template(p, schedule), family, schedule, (), (("input", 0), ("output", 0)))


def spaces_of(p: PoolProblem, spec: TargetSpec) -> list[Space]:
    return [byte_loops.space(p) if p.kind == "max" else windows.space(p)]


KIND = Kind(case_of, spaces_of, {_AVERAGE: AverageSchedule, **LOOPS}, kernel_of)
