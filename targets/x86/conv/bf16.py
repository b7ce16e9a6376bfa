"""Dense bfloat16 convolution on the vector unit: with VDPBF16PS, else with FMA on operands widened to float32; the sums
are those of the tile unit, bit for bit.

Of every block of 32 inputs (passes/ops.py) the even and the odd products have a sum each, from zero. VDPBF16PS adds two
products to a sum, one after the other and that of the higher half first: so a pair holds inputs k + 2 and k of one
parity, in the data (elementwise/bfloat16.py) as in the weights.
FMA rounds once, as the contract says. A block's sums stay in registers, the totals in the first-level cache; padding is
copied (stage.py), zeros add nothing."""

from dataclasses import dataclass

import numpy as np
from tvm import tirx
from tvm.tirx.script import builder as T

from ...bfloat16 import BLOCK
from ...cpu.expressions import bind, load_vector, splat, store_vector
from ..bf16_intrinsics import bf16_functions, dot_bf16
from ..elementwise.bfloat16 import PAIRS
from ..intrinsics import fma
from ..isa import current
from ..kernel import argument, built_once, emit_kernel, task_loop
from ..layout import SLACK, STORAGE
from .epilogue import Operands, Row, emit_epilogue
from .problem import ConvProblem
from .stage import emit_stage
from .walk import Walk, plan_walk


@dataclass(frozen=True)
class Bf16Schedule:
    """How a convolution in bfloat16 on the vector unit is divided. vectors: of 16 output channels in a block. pixels:
    of a register tile. pixels_outer: a task is a chunk of `units` register tiles and runs over all channels; otherwise
    the weights stream once."""

    vectors: int
    pixels: int
    pixels_outer: bool
    units: int


def walk_of(p: ConvProblem) -> Walk:
    """How the kernel walks over its input."""
    return plan_walk(p, 16, 1, allow_phases=False)


def most_pixels(vectors: int) -> int:
    """How many pixels a register tile has at most: two sums for each result, the weights of one chain and a broadcast
    fit into registers."""
    isa = current()
    return max(1, (isa.registers - 2 - vectors * isa.parts) // (2 * vectors * isa.parts))


def default_schedule(p: ConvProblem) -> Bf16Schedule:
    """The analytical schedule: as many pixels as registers hold, of as many vectors of channels."""
    walk, vectors = walk_of(p), min(2 if current().parts == 1 else 1, p.out_blocks)
    tiles = -(-walk.pixels // most_pixels(vectors))
    pixels = -(-walk.pixels // tiles)
    units, blocks = walk.images * walk.rows * tiles, -(-p.out_blocks // vectors)
    if p.out_channels * blocks_of(walk) * BLOCK < p.batch * p.height * p.width * p.data_stride:
        return Bf16Schedule(vectors, pixels, True, max(1, min(8, units // 16)))
    return Bf16Schedule(vectors, pixels, False, max(1, -(-units // max(1, 16 // blocks))))


def blocks_of(walk: Walk) -> int:
    """How many blocks of 32 inputs every result has."""
    return sum(-(-run.length // BLOCK) for run in walk.runs)


def pack_weights(matrix: np.ndarray) -> np.ndarray:
    """[blocks of channels][K][channels] bits of bfloat16 (weight_matrix) -> the order of the kernel: with VDPBF16PS
    [..][K / 32][16 pairs][channels][2], else float32 [..][K / 32][32][channels]."""
    blocks, k, channels = matrix.shape
    steps = matrix.reshape(blocks, k // BLOCK, BLOCK, channels)
    if current().bf16_pairs:
        return (
            steps[:, :, PAIRS]
            .reshape(blocks, k // BLOCK, BLOCK // 2, 2, channels)
            .transpose(0, 1, 2, 4, 3)
            .reshape(-1)
            .copy()
        )
    return (steps.reshape(-1).astype(np.uint32) << 16).view(np.float32)


@built_once
def conv2d_bf16(p: ConvProblem, s: Bf16Schedule) -> tirx.PrimFunc:
    """PrimFunc(data u16[], weights u16[] or f32[], bias f32[], [residual f32[]], out, [stage u16[]])."""
    return emit_kernel(p.name + "_bf16", lambda: _body(p, s))


def _body(p: ConvProblem, s: Bf16Schedule) -> None:
    walk, e = walk_of(p), p.epilogue
    blocks = -(-p.out_blocks // s.vectors)
    data = argument("data", p.batch * p.height * p.width * p.data_stride + SLACK, "uint16")
    weights = argument(
        "weights", blocks * blocks_of(walk) * BLOCK * s.vectors * 16, "uint16" if current().bf16_pairs else "float32"
    )
    bias = argument("bias", blocks * s.vectors * 16, "float32")
    out_elements = p.batch * p.out_height * p.out_width * p.out_stride + SLACK
    residual = argument("residual", out_elements, "float32") if e.residual else None
    out = argument("out", out_elements, STORAGE.get(e.out_dtype, e.out_dtype))
    source = emit_stage(p, walk, data)
    k = _Kernel(p, s, walk, source, weights, bias, Operands(out, None, residual))
    tiles = -(-walk.pixels // s.pixels)
    units = walk.images * walk.rows * tiles
    chunks = -(-units // s.units)
    with bf16_functions(), task_loop(chunks if s.pixels_outer else chunks * blocks, p.microseconds) as task:
        first = bind((task if s.pixels_outer else tirx.floormod(task, chunks)) * s.units)
        count = s.units if units % s.units == 0 else tirx.min(s.units, units - first)
        with T.serial(0, blocks if s.pixels_outer else 1) as inner:
            block = bind(inner if s.pixels_outer else tirx.floordiv(task, chunks))
            with T.serial(0, count) as unit:
                k.unit(block, bind(first + unit), tiles)


@dataclass(frozen=True)
class _Kernel:
    p: ConvProblem
    s: Bf16Schedule
    walk: Walk
    source: tirx.Buffer
    weights: tirx.Buffer
    bias: tirx.Buffer
    operands: Operands

    def unit(self, block: tirx.Expr, unit: tirx.Expr, tiles: int) -> None:
        """A register tile; the last one of a line overlaps the one before. An odd last block of channels has fewer
        vectors."""
        left = self.p.out_blocks % self.s.vectors
        line, tile = bind(tirx.floordiv(unit, tiles)), bind(tirx.floormod(unit, tiles))
        start = bind(tirx.min(tile * self.s.pixels, self.walk.pixels - self.s.pixels))
        if left == 0:
            self.tile(block, line, start, self.s.vectors)
            return
        with T.If(block < self.p.out_blocks // self.s.vectors):
            with T.Then():
                self.tile(block, line, start, self.s.vectors)
            with T.Else():
                self.tile(block, line, start, left)

    def tile(self, block: tirx.Expr, line: tirx.Expr, start: tirx.Expr, vectors: int) -> None:
        walk, s, lanes = self.walk, self.s, current().lanes
        registers = vectors * current().parts
        image, row = bind(tirx.floordiv(line, walk.rows)), bind(tirx.floormod(line, walk.rows))
        at = bind(image * walk.image_stride + row * walk.row_stride + start * walk.pixel_stride)
        slots = [(i, r, (i * registers + r) * lanes) for i in range(s.pixels) for r in range(registers)]
        totals, even, odd = (
            T.alloc_buffer((len(slots) * lanes,), "float32", annotations={"disable_lower_builtin": True})
            for _ in range(3)
        )
        for _, _, slot in slots:
            store_vector(totals, slot, splat(0.0, "float32", lanes))
        weights, done = bind(block * (blocks_of(walk) * BLOCK * s.vectors * 16)), 0
        for run in walk.runs:
            with T.serial(0, -(-run.length // BLOCK)) as step:
                for _, _, slot in slots:
                    store_vector(even, slot, splat(0.0, "float32", lanes))
                    store_vector(odd, slot, splat(0.0, "float32", lanes))
                self.block(
                    (even, odd),
                    bind(at + run.offset + step * BLOCK),
                    bind(weights + (done + step) * (BLOCK * s.vectors * 16)),
                    registers,
                )
                for _, _, slot in slots:
                    store_vector(
                        totals,
                        slot,
                        load_vector(totals, slot, lanes)
                        + (load_vector(even, slot, lanes) + load_vector(odd, slot, lanes)),
                    )
            done += -(-run.length // BLOCK)
        p, channel = self.p, bind(block * (s.vectors * 16))
        rows = [Row(bind((line * walk.pixels + start + i) * p.out_stride)) for i in range(s.pixels)]
        total = lambda r, v: (
            load_vector(totals, (r * vectors + v) * 16, 16) + load_vector(self.bias, channel + v * 16, 16)
        )
        emit_epilogue(p.epilogue, self.operands, rows, vectors, channel, total)

    def block(self, sums: tuple[tirx.Expr, tirx.Expr], at: tirx.Expr, weights: tirx.Expr, registers: int) -> None:
        """The 32 products of a block: two chains, of which each step of the loop takes two products with VDPBF16PS,
        else one. One chain after the other: the weights of both would not fit into registers beside all sums."""
        pairs, lanes, stride = current().bf16_pairs, current().lanes, self.walk.pixel_stride
        each = 2 if pairs else 1
        size = self.s.vectors * 16 * each  # The elements are the weights of one chain in one step.
        with T.serial(0, BLOCK // (2 * each)) as k:
            for chain, chained in enumerate(sums):
                found = [
                    bind(load_vector(self.weights, weights + (2 * k + chain) * size + r * (lanes * each), lanes * each))
                    for r in range(registers)
                ]
                for i in range(self.s.pixels):
                    element = bind(self.element(at + i * stride + k * (2 * each), chain))
                    for r in range(registers):
                        slot = (i * registers + r) * lanes
                        store_vector(
                            chained,
                            slot,
                            (dot_bf16 if pairs else fma)(load_vector(chained, slot, lanes), element, found[r]),
                        )

    def element(self, at: tirx.Expr, chain: int) -> tirx.Expr:
        """What a chain multiplies by, in every lane of a register: a pair of bfloat16, or a float32."""
        lanes = current().lanes

        def word(index: tirx.Expr) -> tirx.Expr:
            return tirx.reinterpret("uint32", load_vector(self.source, index, 2))

        if current().bf16_pairs:
            return tirx.Broadcast(word(at + 2 * chain), lanes)
        bits = word(at)
        return tirx.Broadcast(
            tirx.reinterpret(
                "float32", bits << tirx.const(16, "uint32") if chain == 0 else bits & tirx.const(0xFFFF0000, "uint32")
            ),
            lanes,
        )
