"""Attention of int8 heads in one launch: both products and the softmax between them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..kernel import CudaKernel, literal
from . import functions
from .conv import Epilogue, Views
from .conv_schedule import rounded_up

if TYPE_CHECKING:
    from ...spec import TargetSpec


_MOST_KEYS = 1024
_MOST_DEPTH = 128
_KEYS_OF_A_WARP = 128  # Of these a lane holds 64 scores in registers.
_MOST_GROUPS = 4
_WARPS = {True: 16, False: 8}  # Where copies are asynchronous 128 registers of a thread suffice.


@dataclass(frozen=True)
class Block:
    """Who shares what in a block. warps: that share the keys of sixteen queries. groups: of sixteen queries. resident:
    blocks that share a multiprocessor."""

    warps: int
    groups: int
    resident: int = 1


@dataclass(frozen=True)
class Attention:
    """The parameters of the kernel in device/attention.cuh, field by field. Multipliers, scale and bound: float32
    values."""

    queries: int
    keys: int
    depth: int
    width: int
    heads: int
    query_pitch: int
    out_pitch: int
    warps: int
    groups: int
    scaled: bool
    masked: bool
    multiplier: float
    scale: float
    bound: float
    second_multiplier: float
    codes: functions.ByteCodes
    mask_step: tuple[int, int, int]


@dataclass(frozen=True)
class AttentionProblem:
    """A problem of attention. Bytes of a key (depth), of a value (width), and from row to row of queries and results.
    scale, mask_step: of scores, None where there is none. probability: (scale, zero point) of softmax's codes."""

    queries: int
    keys: int
    depth: int
    width: int
    heads: int
    query_pitch: int
    out_pitch: int
    multipliers: tuple[float, float]
    scale: float | None
    mask_step: tuple[int, int, int] | None
    probability: tuple[float, int]


def block_for(keys: int, depth: int, width: int, queries: int, batch: int, spec: "TargetSpec") -> Block | None:
    """The block for heads of so many keys, bytes of a key and of a value; None where there is no kernel. Where there
    are few queries more warps share the keys; where there are many, more queries. batch: heads of all images. spec: the
    target."""
    if not (spec.dot != "dp4a" and keys <= _MOST_KEYS and depth <= _MOST_DEPTH and width <= _MOST_DEPTH):
        return None
    if depth % 32 or width % 8:
        return None
    warps, groups, wanted = 1, -(-queries // 16) * batch, 2 * spec.extra["multiprocessors"]
    while keys > _KEYS_OF_A_WARP * warps or (warps < 4 and keys >= 32 * warps and groups * warps < wanted):
        warps *= 2
    together = 1
    while 2 * together * warps <= _MOST_GROUPS and 16 * together < queries and groups >= 2 * together * wanted:
        together *= 2
    for count in (together, 1):
        block = Block(warps, count, _WARPS[spec.extra["arch"] >= 80] // (warps * count))
        if shared_bytes(keys, depth, width, block) <= spec.extra["shared_bytes"]:
            return block
    return None


def shared_bytes(keys: int, depth: int, width: int, block: Block) -> int:
    """Bytes of shared memory, as AttentionMemory in device/attention.cuh divides it."""
    columns = rounded_up(keys, max(32, 16 * block.warps))
    shared = 16 * (columns + 16) + 4 * 16 * (columns + 16 + block.warps + 1) if block.warps > 1 else 0
    return columns * (depth + 16) + width * (columns + 16) + block.groups * shared


def attention(
    problem: AttentionProblem, block: Block, first: Views, second: Views, epilogue: Epilogue, batch: int
) -> CudaKernel:
    """The kernel of attention. Operands: queries, keys, values, mask (or the queries again), result."""
    p = problem
    exponential, text = functions.softmax_exponential()
    step, zero_point = np.float32(p.probability[0]), p.probability[1]
    multiplier, scale = _merged(p.multipliers[0], p.scale)
    instance = Attention(
        queries=p.queries,
        keys=p.keys,
        depth=p.depth,
        width=p.width,
        heads=p.heads,
        query_pitch=p.query_pitch,
        out_pitch=p.out_pitch,
        warps=block.warps,
        groups=block.groups,
        scaled=scale is not None,
        masked=p.mask_step is not None,
        multiplier=multiplier,
        scale=scale if scale is not None else 0.0,
        bound=float("inf") if 1 / float(step) < 127.4 - zero_point else float(np.float32(127 - zero_point) * step),
        second_multiplier=p.multipliers[1],
        codes=functions.codes_by(step, zero_point),
        mask_step=p.mask_step if p.mask_step is not None else (0, 0, 0),
    )
    call = f"attention<{literal(instance)}, {literal(first)}, {literal(second)}, {literal(epilogue)}, {exponential}>"
    return CudaKernel(
        "attention",
        "attention.cuh",
        call,
        5,
        (-(-p.queries // (16 * block.groups)), 1, batch),
        32 * block.warps * block.groups,
        shared_bytes(p.keys, p.depth, p.width, block),
        prelude=(text,),
        resident=block.resident,
    )


def _merged(multiplier: float, scale: float | None) -> tuple[float, float | None]:
    """A scale that is a power of two rounds nothing, so it is part of the multiplier: of sums that are whole numbers,
    if that stays a normal number."""
    whole = float(np.float32(multiplier))
    if scale is None or abs(np.frexp(np.float32(scale))[0]) != 0.5:
        return multiplier, scale
    product = whole * float(np.float32(scale))
    return (product, None) if 2.0**-126 <= abs(product) < 2.0**96 else (multiplier, scale)
