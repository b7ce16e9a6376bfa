"""Sums, products, requantisation and tables of packed bytes on x86."""

import numpy as np

from ...passes.referee.integer import INTEGER
from ...targets.spec import TargetSpec
from ...targets.x86.elementwise.integer import (
    CHANNEL,
    STREAM,
    BinaryProblem,
    RequantizeProblem,
    binary,
    requantize_kernel,
    second_elements,
)
from ...targets.x86.elementwise.table import ENTRIES, TableProblem, pack_tables, table_kernel
from ...targets.x86.isa import building_for
from ...targets.x86.layout import SLACK, Layout
from ...targets.x86.vector_loops import LoopSchedule, default_loops
from ..seeded_operands import (
    DATA,
    SECOND,
    TABLE,
    answer,
    case_of_operands,
    channels_of_pixels,
    even_bytes,
    made,
    stored_values,
    values_as_stored,
)
from ..spaces import byte_loops
from ..spaces.space import Space
from .kind import Case, Kernel, Kind

FAMILY = "loops"


def binary_case(p: BinaryProblem) -> Case:
    operands = [made(DATA, p.elements + SLACK, "uint8"), made(SECOND, second_elements(p) + SLACK, "uint8")]
    pixels = {STREAM: p.images * p.pixels, CHANNEL: p.images}.get(p.second, 1)
    layouts = [Layout("rows", (count, p.channels), "int8") for count in (p.images * p.pixels, pixels)]
    a, b = (channels_of_pixels(array, layout) for (array, _), layout in zip(operands, layouts))
    b = b.repeat(p.pixels, axis=0) if p.second == CHANNEL else b
    attrs = {
        "a_zero_point": p.a_zero_point,
        "b_zero_point": p.b_zero_point,
        "out_zero_point": p.out_zero_point,
        "clip_min": p.clip_min,
        "clip_max": p.clip_max,
        "multiplier": p.a_multiplier,
        "a_multiplier": p.a_multiplier,
        "b_multiplier": p.b_multiplier,
    }
    return Case(
        **case_of_operands(*operands), constants={}, **answer(INTEGER[f"octet.{p.kind}"]([a, b], attrs), layouts[0])
    )


def requantize_case(p: RequantizeProblem) -> Case:
    operand = made(DATA, p.elements + SLACK, "uint8")
    attrs = {
        "data_zero_point": p.zero_point,
        "multiplier": p.multiplier,
        "out_zero_point": p.out_zero_point,
        "clip_min": p.clip_min,
        "clip_max": p.clip_max,
    }
    result = INTEGER["octet.requantize"]([values_as_stored(operand[0])[None, : p.elements]], attrs)
    return Case(
        **case_of_operands(operand),
        constants={},
        expected=stored_values(result),
        pitch=p.elements,
        elements=p.elements + SLACK,
    )


def table_case(p: TableProblem) -> Case:
    operand, layout = made(DATA, p.elements + SLACK, "uint8"), Layout("rows", (p.pixels, p.channels), "int8")
    table = even_bytes(TABLE, *((p.channels, ENTRIES) if p.per_channel else (ENTRIES,))).view(np.int8)
    return Case(
        **case_of_operands(operand),
        constants={"table": table},
        **answer(INTEGER["octet.table"]([channels_of_pixels(operand[0], layout), table], {}), layout),
    )


def plain_kernel(emit, constants=lambda p, case: (), family=FAMILY, default=default_loops):
    """`Kind.kernel` of a template emit(problem, schedule). constants(problem, case): as it reads them, behind the
    inputs. default(problem): its analytical schedule."""

    def kernel(p, case: Case, schedule, spec: TargetSpec) -> Kernel:
        packed = tuple(constants(p, case))
        with building_for(spec.dot):
            schedule = schedule if schedule is not None else default(p)
            func = emit(p, schedule)
        return Kernel(
            func,
            family,
            schedule,
            packed,
            (
                *(("input", i) for i in range(len(case.inputs))),
                *(("constant", i) for i in range(len(packed))),
                ("output", 0),
            ),
        )

    return kernel


def spaces_of(p, spec: TargetSpec) -> list[Space]:
    return [byte_loops.space(p)]


SCHEDULES = {FAMILY: LoopSchedule}
KINDS = {
    BinaryProblem: Kind(binary_case, spaces_of, SCHEDULES, plain_kernel(binary)),
    RequantizeProblem: Kind(requantize_case, spaces_of, SCHEDULES, plain_kernel(requantize_kernel)),
    TableProblem: Kind(
        table_case,
        spaces_of,
        SCHEDULES,
        plain_kernel(table_kernel, lambda p, case: (pack_tables(p, case.constants["table"]),)),
    ),
}
