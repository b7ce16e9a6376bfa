"""Attention of int8 heads in one launch: both products and the softmax between them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..kernel import CudaKernel, literal
from . import functions
from .conv import Epilogue, Views
from .conv_schedule import rounded_up

if TYPE_CHECKING:
    from ...spec import TargetSpec


_MOST_KEYS = 1024
_MOST_DEPTH = 128


@dataclass(frozen=True)
class Attention:
    """The parameters of the kernel in device/attention.cuh, field by field. Multipliers, scale and probability: float32
    values."""

    queries: int
    keys: int
    depth: int
    width: int
    heads: int
    query_pitch: int
    out_pitch: int
    warps: int
    scaled: bool
    masked: bool
    multiplier: float
    scale: float
    probability: float
    second_multiplier: float
    zero_point: int
    mask_step: tuple[int, int, int]


def warps_for(keys: int) -> int:
    """How many warps of a block share its keys."""
    return 4 if keys <= 256 else 8


def shared_bytes(keys: int, depth: int, width: int) -> int:
    """Bytes of shared memory, as AttentionMemory in device/attention.cuh divides it."""
    warps = warps_for(keys)
    columns = rounded_up(keys, 8 * warps)
    return columns * (depth + 16) + (width + 16) * (columns + 16) + 4 * 16 * (columns + 8 + warps + 1)


def fits(keys: int, depth: int, width: int, spec: "TargetSpec") -> bool:
    """Whether there is a kernel for heads of so many keys, bytes of a key and of a value. spec: the target."""
    small = keys <= _MOST_KEYS and depth <= _MOST_DEPTH and depth % 32 == 0 and width <= _MOST_DEPTH and width % 8 == 0
    return spec.dot != "dp4a" and small and shared_bytes(keys, depth, width) <= spec.extra["shared_bytes"]


def attention(problem: Attention, first: Views, second: Views, epilogue: Epilogue, batch: int) -> CudaKernel:
    """The kernel of attention. Operands: queries, keys, values, mask (or the queries again), result."""
    p, (exponential, text) = problem, functions.function("exp", {})
    call = f"attention<{literal(p)}, {literal(first)}, {literal(second)}, {literal(epilogue)}, {exponential}>"
    return CudaKernel(
        "attention",
        "attention.cuh",
        call,
        5,
        (-(-p.queries // 16), 1, batch),
        32 * p.warps,
        shared_bytes(p.keys, p.depth, p.width),
        prelude=(text,),
    )
