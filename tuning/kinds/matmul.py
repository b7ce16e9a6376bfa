"""Products of two computed tensors on x86, with the softmax that may follow."""

from math import prod

import numpy as np

from ...passes.referee.integer import INTEGER
from ...targets.spec import TargetSpec
from ...targets.x86.isa import building_for
from ...targets.x86.matmul.problem import MatmulProblem, Matrices
from ...targets.x86.matmul.product import matmul
from ...targets.x86.matmul.schedule import MatmulSchedule, constants_of, default_schedule
from ..seeded_operands import BIAS, DATA, SECOND, case_of_operands, made, stored_values, values_as_stored
from ..spaces import attention
from ..spaces.space import Space
from .kind import Case, Kernel, Kind
from .rows import softmax_of

_FAMILY = "attention"


def case_of(p: MatmulProblem) -> Case:
    mask = p.softmax.mask if p.softmax is not None else None
    operands = [made(DATA, p.a.elements, "uint8"), made(SECOND, p.b.elements, "uint8")]
    places = [(p.a, (p.rows, p.inner)), (p.b, (p.inner, p.columns))]
    if mask is not None:
        operands.append(made(BIAS, mask.elements, "float32"))
        places.append((mask, (p.rows, p.columns)))
    a, b, *added = (
        _matrices(values_as_stored(array), p, *place) for (array, _), place in zip(operands, places, strict=True)
    )
    attrs = {
        "multiplier": p.multiplier,
        "out_zero_point": p.out_zero_point,
        "clip_min": p.clip_min,
        "clip_max": p.clip_max,
        "a_zero_point": p.a_zero_point,
        "b_zero_point": p.b_zero_point,
    }
    if p.softmax is None:
        result = np.asarray(INTEGER["octet.matmul"]([a, b], attrs | {"out_dtype": p.out_dtype}))
    else:
        coded = p.softmax.code_scale
        scores = np.asarray(
            INTEGER["octet.matmul"]([a, b], attrs | {"out_dtype": "float32" if coded is None else "int8"})
        )
        if coded is not None:
            scores = (scores.astype(np.float32) - np.float32(p.out_zero_point)) * np.float32(coded)
        result = _probabilities(scores, p.softmax, added)
    return Case(**case_of_operands(*operands), constants={}, **_answer(p, stored_values(result)))


def _matrices(flat, p, where: Matrices, shape):
    """The matrices of an operand, [batch.., i, j], read where they lie."""
    strides = [step * flat.itemsize for step in (*where.batch_strides, where.row, where.column)]
    return np.lib.stride_tricks.as_strided(
        flat[where.offset :], (*p.batch, *shape), strides, writeable=flat.flags.writeable
    )


def _probabilities(scores, epilogue, mask):
    if epilogue.scale is not None:
        scores = scores * np.float32(epilogue.scale)
    if mask:
        scores = scores + mask[0]
    probabilities = softmax_of(scores, epilogue.peak)
    return INTEGER["relax.quantize"](
        [probabilities, np.float32(epilogue.probability_scale), np.int8(epilogue.zero_point)],
        {"axis": -1, "out_dtype": "int8"},
    )


def _answer(p, result):
    """Rows of all matrices in the order in which they lie in memory: one every `pitch` elements
    (passes/lower/cpu/rules_matmul.py)."""
    steps = [step for extent, step in zip((*p.batch, p.rows), (*p.out.batch_strides, p.out.row)) if extent > 1]
    pitch, rows = min(steps, default=p.columns), prod(p.batch) * p.rows
    flat = np.zeros(p.out.elements, result.dtype)
    _matrices(flat, p, p.out, (p.rows, p.columns))[...] = result
    return {
        "expected": np.ascontiguousarray(flat[: rows * pitch].reshape(rows, pitch)[:, : p.columns]),
        "pitch": pitch,
        "elements": p.out.elements,
    }


def kernel_of(p: MatmulProblem, case: Case, schedule, spec: TargetSpec) -> Kernel:
    schedule = schedule if schedule is not None else default_schedule(p)
    constants = tuple(constants_of(p, spec.dot))
    with building_for(spec.dot):
        func = matmul(p, spec.dot, schedule)
    return Kernel(
        func,
        _FAMILY,
        schedule,
        constants,
        (
            *(("input", i) for i in range(len(case.inputs))),
            *(("constant", i) for i in range(len(constants))),
            ("output", 0),
        ),
    )


def spaces_of(p: MatmulProblem, spec: TargetSpec) -> list[Space]:
    return [attention.space(p, spec.dot)]


KIND = Kind(case_of, spaces_of, {_FAMILY: MatmulSchedule}, kernel_of)
