"""MetaSchedule's stock space for generated kernels, as far as it leaves their bits alone.

Of the stock CUDA rules there are AutoBind (which loops become blocks and threads) and ParallelizeVectorizeUnroll
(unrolling). Left out: CrossThreadReduction and AddRFactor, which reorder sums; MultiLevelTiling, whose tiles in shared
memory pay for products, and those have kernels of their own; AutoInline, as a nest is one block."""

from dataclasses import asdict, dataclass
from typing import Any

import tvm
from tvm import tirx

from ...tvm.privates import without_intrinsics

_THREADS, _UNROLL, _MOST_BLOCKS = [32, 64, 128, 256, 512, 1024], [0, 16, 64, 512], 256


@dataclass(frozen=True)
class Stock:
    """The decisions of a stock trace. threads: of a block. unroll: most iterations of a loop that is unrolled."""

    threads: int = 128
    unroll: int = 0


def stock_choices(function: tirx.PrimFunc) -> dict[str, tuple[int, ...]]:
    """{field of Stock: what the stock rules let it be} of a nest (NestWorkload.function); a field is missing where they
    see nothing to decide."""
    return {name: tuple(choices) for name, (_, choices) in _sampled(_space(function).trace).items()}


def scheduled(function: tirx.PrimFunc, schedule: Stock) -> tirx.PrimFunc:
    """The nest by the stock trace with these decisions."""
    space = _space(function)
    trace = space.trace
    for name, (instruction, choices) in _sampled(trace).items():
        trace = trace.with_decision(instruction, choices.index(asdict(schedule)[name]), remove_postproc=True)
    made = tvm.s_tir.Schedule(tvm.IRModule({"main": function}))
    trace.apply_to_schedule(made, remove_postproc=True)
    return made.mod["main"]


def unrolled(function: tirx.PrimFunc) -> int:
    """What the trace says of unrolling."""
    return int(function.body.block.annotations.get("meta_schedule.unroll_explicit", 0))


def _sampled(trace: Any) -> dict[str, tuple[Any, list[int]]]:
    """{field: (instruction, its choices)}."""
    names = {tuple(_THREADS): "threads", tuple(_UNROLL): "unroll"}
    found = {}
    for instruction in trace.decisions:
        choices = [int(choice) for choice in instruction.attrs[0]]
        found[names[tuple(choices)]] = (instruction, choices)
    return found


def _space(function: tirx.PrimFunc) -> Any:
    """The one schedule of the stock design space, its decisions sampled anyhow."""
    from tvm.s_tir import meta_schedule as ms

    target = tvm.target.Target(
        {
            "kind": "cuda",
            "arch": "sm_80",
            "max_threads_per_block": 1024,
            "max_shared_memory_per_block": 49152,
            "thread_warp_size": 32,
        }
    )
    rules = [
        ms.schedule_rule.ParallelizeVectorizeUnroll(-1, -1, _UNROLL, True),
        ms.schedule_rule.AutoBind(_MOST_BLOCKS, _THREADS),
    ]
    generator = ms.space_generator.PostOrderApply(sch_rules=rules, postprocs=[], mutator_probs={})
    with without_intrinsics():
        context = ms.TuneContext(
            tvm.IRModule({"main": function}),
            target=target,
            space_generator=generator,
            search_strategy=ms.search_strategy.EvolutionarySearch(),
            task_name="nest",
            rand_state=1,
            num_threads=1,
        )
    (space,) = context.generate_design_space()
    return space
