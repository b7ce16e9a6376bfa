"""Softmax and layer normalisation of rows on x86."""

import numpy as np

from ...passes.referee.floats import FLOAT
from ...passes.referee.integer import INTEGER
from ...targets.softmax_table import softmax_table
from ...targets.spec import TargetSpec
from ...targets.x86.isa import building_for
from ...targets.x86.rows.layer_norm import LayerNormProblem, RowSchedule, default_schedule, layer_norm
from ...targets.x86.rows.softmax import SoftmaxProblem, softmax
from ...targets.x86.rows.softmax_table import SoftmaxTableProblem, softmax_by_table
from ..seeded_operands import BIAS, DATA, WEIGHT, answer, case_of_operands, channels_of_pixels, made
from ..spaces import rows
from ..spaces.space import Space
from .elementwise import SCHEDULES, plain_kernel, spaces_of
from .kind import Case, Kind

_SCALE = 0.1  # One step of logits in bytes has this size.


def softmax_case(p: SoftmaxProblem) -> Case:
    operand = made(DATA, p.source.elements, "float32")
    result = softmax_of(channels_of_pixels(operand[0], p.source), p.peak)
    return Case(
        **case_of_operands(operand),
        constants={},
        **answer(on_scale(result, (p.scale, p.zero_point) if p.scale is not None else None), p.target),
    )


def softmax_of(rows: np.ndarray, peak: bool) -> np.ndarray:
    """Over the last axis; peak: each row times 1 / its largest value."""
    found = np.asarray(FLOAT["relax.nn.softmax"]([rows], {"axis": -1}))
    return found * (np.float32(1) / found.max(axis=-1, keepdims=True)) if peak else found


def on_scale(values: np.ndarray, scale_and_zero_point: tuple[float, int] | None) -> np.ndarray:
    """R.quantize per tensor; None: as they are."""
    if scale_and_zero_point is None:
        return values
    scale, zero_point = scale_and_zero_point
    return np.asarray(
        INTEGER["relax.quantize"]([values, np.float32(scale), np.int8(zero_point)], {"axis": -1, "out_dtype": "int8"})
    )


def softmax_table_case(p: SoftmaxTableProblem) -> Case:
    operand, layout = made(DATA, p.layout.elements, "uint8"), p.layout
    table = softmax_table(_SCALE)
    attrs = {"levels": p.levels, "out_zero_point": p.out_zero_point}
    return Case(
        **case_of_operands(operand),
        constants={"table": table},
        **answer(INTEGER["octet.softmax"]([channels_of_pixels(operand[0], layout), table], attrs), layout),
    )


def layer_norm_case(p: LayerNormProblem) -> Case:
    operand = made(DATA, p.operand.elements, p.operand.storage)
    width = -(-p.channels // 16) * 16
    gamma, beta = (made(seed, width, "float32")[0] for seed in (WEIGHT, BIAS))
    x = channels_of_pixels(operand[0], p.operand)
    if p.source is not None:
        x = (x.astype(np.float32) - np.float32(p.source[1])) * np.float32(p.source[0])
    result = FLOAT["relax.nn.layer_norm"](
        [x, gamma[: p.channels], beta[: p.channels]],
        {"axes": [-1], "epsilon": p.epsilon, "scale": True, "center": True},
    )
    return Case(
        **case_of_operands(operand),
        constants={"gamma": gamma, "beta": beta},
        **answer(on_scale(result, p.target), p.result),
    )


def _spaces(p: LayerNormProblem, spec: TargetSpec) -> list[Space]:
    with building_for(spec.dot):
        return [rows.space(p)]


_ROWS = "rows"
KINDS = {
    SoftmaxProblem: Kind(softmax_case, spaces_of, SCHEDULES, plain_kernel(softmax)),
    SoftmaxTableProblem: Kind(
        softmax_table_case,
        spaces_of,
        SCHEDULES,
        plain_kernel(softmax_by_table, lambda p, case: (case.constants["table"],)),
    ),
    LayerNormProblem: Kind(
        layer_norm_case,
        _spaces,
        {_ROWS: RowSchedule},
        plain_kernel(
            layer_norm, lambda p, case: (case.constants["gamma"], case.constants["beta"]), _ROWS, default_schedule
        ),
    ),
}
