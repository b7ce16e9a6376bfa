"""The schedule of operators without a kernel of their own (gather, where, layer_norm, matmul of computed tensors, ...),
as TVM legalises them.

Per block: outer loops fused and parallel where there is work enough, a reduction outside the contiguous loop where that
exists, the innermost contiguous loop vectorised. What a block refuses is left out: the loops are then TVM's own,
correct and slower."""

from collections.abc import Callable
from math import prod

from tvm import tirx
from tvm.s_tir import Schedule, ScheduleError

LANES = 16
PARALLEL_WORK = 1 << 14  # With fewer innermost executions a second thread costs more than it brings.
_REDUCE = 2  # The number is TVM's tirx.IterVar.CommReduce.
_REFUSALS = (ScheduleError, RuntimeError, ValueError)


def schedule_fallback(func: tirx.PrimFunc) -> tirx.PrimFunc:
    """The function with a schedule; `func` itself if it has no blocks that can be scheduled."""
    try:
        schedule = Schedule(func)
        blocks = schedule.get_child_blocks(schedule.get_sblock("root"))
    except _REFUSALS:
        return func
    macs = sum(_multiply_adds(schedule, block) for block in blocks)
    blocks = [block for block in blocks if not _inlined(schedule, block)]
    for block in blocks:
        schedule = _attempt(schedule, block, _scheduled)
    scheduled = schedule.mod["main"].with_attrs(dict(func.attrs)) if func.attrs else schedule.mod["main"]
    return scheduled.with_attr("octet.macs", macs) if macs else scheduled


def _multiply_adds(schedule: Schedule, block: object) -> int:
    """How often a block adds a product of two values to its sum."""
    body = schedule.get(block).body
    if not _reduces(schedule, block) or not isinstance(body, tirx.BufferStore) or not isinstance(body.value, tirx.Add):
        return 0
    products = [
        term
        for term in (body.value.a, body.value.b)
        if isinstance(term, tirx.Mul) and not any(isinstance(x, tirx.IntImm | tirx.FloatImm) for x in (term.a, term.b))
    ]
    return prod(int(schedule.get(loop).extent) for loop in schedule.get_loops(block)) if products else 0


def _attempt(schedule: Schedule, block: object, transform: Callable[[Schedule, object], None]) -> Schedule:
    """`transform` applied to a copy, so that a refusal half way leaves nothing behind."""
    trial = schedule.copy()
    name = schedule.get(block).name_hint
    try:
        transform(trial, trial.get_sblock(name))
    except _REFUSALS:
        return schedule
    return trial


def _inlined(schedule: Schedule, block: object) -> bool:
    """Inlines a block that computes each element once for one other elementwise block."""
    consumers = schedule.get_consumers(block)
    if len(consumers) != 1 or _reduces(schedule, block) or _reduces(schedule, consumers[0]):
        return False
    try:
        schedule.compute_inline(block)
    except _REFUSALS:
        return False
    return True


def _reduces(schedule: Schedule, block: object) -> bool:
    return any(var.iter_type == _REDUCE for var in schedule.get(block).iter_vars)


def _scheduled(schedule: Schedule, block: object) -> None:
    loops = schedule.get_loops(block)
    kinds = [var.iter_type for var in schedule.get(block).iter_vars]
    if not loops or len(loops) != len(kinds):
        return
    extents = [int(schedule.get(loop).extent) for loop in loops]
    spatial = [loop for loop, kind in zip(loops, kinds) if kind != _REDUCE]
    reduced = [loop for loop, kind in zip(loops, kinds) if kind == _REDUCE]
    work = 1
    for extent in extents:
        work *= extent
    inner = None
    if spatial and int(schedule.get(spatial[-1]).extent) >= LANES:
        inner = spatial.pop()
        if int(schedule.get(inner).extent) > LANES and int(schedule.get(inner).extent) % LANES == 0:
            outer, inner = schedule.split(
                inner, [None, 4 * LANES if int(schedule.get(inner).extent) % (4 * LANES) == 0 and reduced else LANES]
            )
            spatial.append(outer)
    if reduced and inner is not None:
        schedule.reorder(*spatial, *reduced, inner)
    if spatial:
        task = schedule.fuse(*spatial)
        if work >= PARALLEL_WORK and int(schedule.get(task).extent) > 1:
            schedule.parallel(task)
    if (
        inner is not None
        and int(schedule.get(inner).extent) % LANES == 0
        and int(schedule.get(inner).extent) <= 4 * LANES
    ):
        schedule.vectorize(inner)
    if reduced:
        schedule.decompose_reduction(block, reduced[0])
