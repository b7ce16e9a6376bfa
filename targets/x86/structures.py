"""The structure of a problem: a representative with fixed numbers. Zero points, multipliers and the values of clip
bounds differ from layer to layer and leave the shape of the code as it is; two problems that differ in nothing else are
tuned together."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import inf, prod, sqrt
from typing import Any

from .conv.problem import ConvProblem, Epilogue
from .elementwise.integer import BinaryProblem, RequantizeProblem
from .elementwise.table import TableProblem
from .matmul.problem import MatmulProblem
from .rows.layer_norm import LayerNormProblem
from .rows.softmax import SoftmaxProblem
from .rows.softmax_table import SoftmaxTableProblem
from .windows.pooling import PoolProblem


@dataclass(frozen=True)
class StructureEntry:
    """What is asked about the problems of one kind. problem: a frozen dataclass with `name`, `dtype` and
    `multiply_adds`. structure(problem): its representative. label(problem): a name for people. vectors(problem):
    vectors of 16 lanes that the vector unit computes beside the multiply-adds: the fewest instructions that anybody
    knows."""

    problem: type
    structure: Callable[[Any], Any]
    vectors: Callable[[Any], float]
    label: Callable[[Any], str] = lambda p: p.name


# An epilogue takes these instructions for 16 results: convert, scale, round, pack; a residual is widened, converted
# and scaled on top. A softmax takes an exponential of a short polynomial, its maximum, sum and quotient; a layer
# normalisation takes two sums, scale and shift.
_REQUANTIZE, _RESIDUAL, _SOFTMAX, _LAYER_NORM = 4, 3, 16, 8


def _conv_vectors(p: ConvProblem) -> float:
    results = p.batch * p.out_height * p.out_width * p.out_blocks
    return results * ((_REQUANTIZE if p.dtype == "int8" else 0) + (_RESIDUAL if p.epilogue.residual else 0))


def _matmul_vectors(p: MatmulProblem) -> float:
    return prod(p.batch) * p.rows * p.column_blocks * (_REQUANTIZE + (_SOFTMAX if p.softmax is not None else 0))


def _conv(p: ConvProblem) -> ConvProblem:
    """What else an epilogue may do (a table behind it) changes every schedule alike: it is left out."""
    e, int8 = p.epilogue, p.epilogue.out_dtype == "int8"
    low, high, inner_low, inner_high = (-128, 127, -100, 100) if int8 else (-inf, inf, -1.0, 6.0)
    quantised = p.dtype == "int8"
    epilogue = Epilogue(
        "float32" if e.out_dtype == "bfloat16" else e.out_dtype,
        out_zero_point=-7 if int8 else 0,
        clip_min=low if e.clip_min <= low else inner_low,
        clip_max=high if e.clip_max >= high else inner_high,
        residual=e.residual,
        residual_zero_point=5 if e.residual and quantised else 0,
        residual_multiplier=0.013 if e.residual and quantised else 0.0,
    )
    return replace(p, data_zero_point=3 if quantised else 0, epilogue=epilogue)


def _conv_label(p: ConvProblem) -> str:
    extras = [
        word
        for word, present in (("+residual", p.epilogue.residual), ("to float", p.dtype != p.epilogue.out_dtype))
        if present
    ]
    return " ".join([p.name, *extras])


def _matmul(p: MatmulProblem) -> MatmulProblem:
    int8 = p.out_dtype == "int8"
    low, high = ((-128, -100), (127, 100)) if int8 else ((-inf, -1.0), (inf, 6.0))
    softmax = None
    if p.softmax is not None:
        scale, code_scale = (
            None if value is None else usual
            for value, usual in ((p.softmax.scale, 0.125), (p.softmax.code_scale, 0.05))
        )
        softmax = replace(p.softmax, scale=scale, probability_scale=1 / 255, zero_point=-128, code_scale=code_scale)
    return replace(
        p,
        multiplier=0.004 / sqrt(p.inner),
        out_zero_point=-7 if int8 and softmax is None else 0,
        clip_min=low[p.clip_min > low[0]],
        clip_max=high[p.clip_max < high[0]],
        softmax=softmax,
        a_zero_point=0,
        b_zero_point=5 if p.b_zero_point else 0,
    )


def _clips(p: BinaryProblem | PoolProblem | RequantizeProblem) -> dict[str, Any]:
    return {"clip_min": -128 if p.clip_min <= -128 else -100, "clip_max": 127 if p.clip_max >= 127 else 100}


def _pool(p: PoolProblem) -> PoolProblem:
    if p.kind == "max" or p.dtype != "int8":
        return p
    return replace(p, data_zero_point=3, out_zero_point=-7, multiplier=0.9, **_clips(p))


def _binary(p: BinaryProblem) -> BinaryProblem:
    a, b = (0.4, 0.6) if p.kind == "add" else (0.008, 0.0)
    return replace(p, a_zero_point=3, b_zero_point=5, out_zero_point=-7, a_multiplier=a, b_multiplier=b, **_clips(p))


def _requantize(p: RequantizeProblem) -> RequantizeProblem:
    return replace(p, zero_point=3, out_zero_point=-7, multiplier=0.7, **_clips(p))


def _softmax(p: SoftmaxProblem) -> SoftmaxProblem:
    """All leading axes are rows."""
    return replace(
        p,
        shape=(prod(p.shape[:-1]), p.shape[-1]),
        scale=None if p.scale is None else 1 / 255,
        zero_point=0 if p.scale is None else -128,
    )


def _softmax_table(p: SoftmaxTableProblem) -> SoftmaxTableProblem:
    return replace(p, shape=(prod(p.shape[:-1]), p.shape[-1]), levels=255, out_zero_point=-128)


def _layer_norm(p: LayerNormProblem) -> LayerNormProblem:
    return replace(
        p, epsilon=1e-5, source=None if p.source is None else (0.03, 3), target=None if p.target is None else (0.02, -7)
    )


# JSON names the kind of a problem so.
KINDS = {
    "conv": StructureEntry(ConvProblem, _conv, _conv_vectors, _conv_label),
    "matmul": StructureEntry(MatmulProblem, _matmul, _matmul_vectors),
    "pool": StructureEntry(
        PoolProblem,
        _pool,
        lambda p: p.target.elements * prod(p.size) / (64 if p.kind == "max" and p.dtype == "int8" else 16),
    ),
    "binary": StructureEntry(BinaryProblem, _binary, lambda p: p.elements / 16 * (_REQUANTIZE + _RESIDUAL)),
    "requantize": StructureEntry(RequantizeProblem, _requantize, lambda p: p.elements / 16 * _REQUANTIZE),
    "softmax": StructureEntry(SoftmaxProblem, _softmax, lambda p: p.source.elements / 16 * _SOFTMAX),
    "softmax_table": StructureEntry(
        SoftmaxTableProblem, _softmax_table, lambda p: p.layout.elements / 16 * _REQUANTIZE
    ),
    "layer_norm": StructureEntry(LayerNormProblem, _layer_norm, lambda p: p.operand.elements / 16 * _LAYER_NORM),
    "table": StructureEntry(TableProblem, lambda p: p, lambda p: p.elements / 64 * 3),
}


def kind_of(problem: object) -> str:
    """The kind of a problem, by its type."""
    return next(kind for kind, entry in KINDS.items() if isinstance(problem, entry.problem))
