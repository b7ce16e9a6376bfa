"""int8 products of two computed tensors (attention): u8 x s8 dot products on the tile unit or with VPDPBUSD, heads in
parallel.

A task takes the rows of one matrix (or a share of them): it repacks the second operand on the stack (pack.py), computes
32 rows of s32 sums at a time, all columns, and finishes them row by row: requantize, float32, or softmax. What a
zero point of the second operand takes away from a row is added there (row_sums.py)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import frexp, gcd, prod
from typing import Any

import numpy as np
from tvm import tirx
from tvm.tirx.script import builder as T

from ...cpu.expressions import bind, load_vector, splat, store_vector
from ..intrinsics import broadcast4, dot4_multiplied, fence, multiplied
from ..isa import UNITS, current
from ..kernel import argument, built_once, emit_kernel, on_stack
from ..rows.row_pieces import over
from ..rows.softmax_bytes import emit_softmax_bytes
from ..tiles import TILE_BYTES, TILE_ROWS, tile_configure, tile_dot, tile_load, tile_store
from ..vector import clip_floats, round_floats, round_straight, store_bytes, to_float
from ..vector_loops import Accumulators, reuse
from .pack import TILE, emit_pack, packed_bytes
from .pairs import emit_pairs
from .problem import MatmulProblem, Matrices
from .row_sums import row_part
from .schedule import STACK_LIMIT, MatmulSchedule, default_schedule, scratch_floats, stack_bytes


@built_once
def matmul(p: MatmulProblem, dot: str, schedule: MatmulSchedule | None = None) -> tirx.PrimFunc:
    """PrimFunc(a u8[], b u8[], [mask f32[]], [config u8[64]], out). dot: of `UNITS`."""
    s = schedule or default_schedule(p)
    assert stack_bytes(p, s) <= STACK_LIMIT, f"{p.name} needs {stack_bytes(p, s)} bytes of stack"
    return emit_kernel(f"{p.name}_{dot}", lambda: _body(p, s, dot))


def _body(p: MatmulProblem, s: MatmulSchedule, dot: str) -> None:
    a, b = argument("a", p.a.elements, "uint8"), argument("b", p.b.elements, "uint8")
    mask = (
        argument("mask", p.softmax.mask.elements, "float32")
        if p.softmax is not None and p.softmax.mask is not None
        else None
    )
    config = argument("config", 64, "uint8") if UNITS[dot].tiles else None
    out = argument("out", p.out.elements, "uint8" if p.out_dtype == "int8" else "float32")
    tiles = -(-p.rows // TILE_ROWS)
    units = -(-tiles // s.tiles)
    share = -(-units // s.chunks)
    with T.parallel(0, prod(p.batch) * s.chunks) as task:
        width = p.column_blocks * 16
        packed, corrections = on_stack(packed_bytes(p), "uint8"), on_stack(width, "int32")
        sums, scratch = on_stack(s.tiles * TILE_ROWS * width, "int32"), on_stack(scratch_floats(p, s), "float32")
        row_parts = on_stack(TILE_ROWS * 16, "int32") if p.b_zero_point else None
        matrix, chunk = (
            (bind(tirx.floordiv(task, s.chunks)), bind(tirx.floormod(task, s.chunks))) if s.chunks > 1 else (task, 0)
        )
        k = _Kernel(
            p,
            s,
            _start(p, p.a, matrix),
            a,
            packed,
            corrections,
            sums,
            row_parts,
            scratch,
            out,
            _start(p, p.out, matrix),
            mask,
            _start(p, p.softmax.mask, matrix) if p.softmax is not None and p.softmax.mask is not None else None,
        )
        if UNITS[dot].tiles:
            tile_configure(config)
        emit_pack(p, b, _start(p, p.b, matrix), packed, corrections)
        first = bind(chunk * share) if s.chunks > 1 else 0
        count = share if s.chunks == 1 or units % s.chunks == 0 else tirx.max(0, tirx.min(share, units - first))
        with T.serial(0, count) as index:
            unit = bind(first + index)
            if tiles % s.tiles == 0:
                k.unit(unit, s.tiles, dot)
            elif units == 1:
                k.unit(unit, tiles, dot)
            else:
                with T.If(unit < units - 1):
                    with T.Then():
                        k.unit(unit, s.tiles, dot)
                    with T.Else():
                        k.unit(unit, tiles % s.tiles, dot)


def _start(p: MatmulProblem, m: Matrices, matrix: tirx.Expr | int) -> tirx.Expr:
    """Index of the first element of one matrix of an operand."""
    index, rest = m.offset, matrix
    for extent, stride in zip(reversed(p.batch), reversed(m.batch_strides)):
        if extent > 1 and stride:
            index = index + tirx.floormod(rest, extent) * stride
        rest = tirx.floordiv(rest, extent)
    return bind(index + matrix * 0)


@dataclass(frozen=True)
class _Kernel:
    p: MatmulProblem
    s: MatmulSchedule
    a_start: tirx.Expr
    a: tirx.Buffer
    packed: tirx.Buffer
    corrections: Any  # The field is None where no corrections are asked for, else their buffer.
    sums: tirx.Buffer
    row_parts: Any  # The field is None where the second operand has zero point 0, else their buffer.
    scratch: tirx.Buffer
    out: tirx.Buffer
    out_start: tirx.Expr
    mask: Any  # The field is None where there is no mask, else its buffer.
    mask_start: tirx.Expr | None  # The matrix begins here in the mask.

    def unit(self, unit: tirx.Expr, tiles: int, dot: str) -> None:
        """`tiles` tiles of rows; the last tile of a matrix ends at its last row and overlaps the one before."""
        p = self.p
        rows = min(TILE_ROWS, p.rows)
        starts = [bind(tirx.min((unit * self.s.tiles + t) * TILE_ROWS, p.rows - rows)) for t in range(tiles)]
        (self.tile_products if UNITS[dot].tiles else self.vector_products)(starts, rows)
        for t, start in enumerate(starts):
            together = gcd(self.s.together, rows) if p.softmax is not None else 1
            with T.serial(0, rows // together) as group:
                first = bind(group * together)
                self.finish(bind(start + first), bind((t * TILE_ROWS + first) * (p.column_blocks * 16)), together)

    def tile_products(self, starts: list[tirx.Expr], rows: int) -> None:
        """Tiles 0-3: sums, 4-5: rows of a, 6-7: columns of b."""
        p = self.p
        width = p.column_blocks * 16
        at = [bind(self.a_start + start * p.a.row) for start in starts]

        def load_rows(step: int) -> None:
            for t, start in enumerate(at):
                tile_load(4 + t, self.a, start + step * TILE_BYTES, p.a.row)

        def columns(block: int, count: int) -> None:
            for t in range(len(starts)):
                for v in range(count):
                    # At stride 0 every row starts from the correction.
                    tile_load(2 * t + v, self.corrections, (block + v) * 16, 0)
            for step in range(p.inner_steps):
                for v in range(count):
                    tile_load(6 + v, self.packed, ((block + v) * p.inner_steps + step) * TILE, TILE_BYTES)
                if p.inner_steps > 1:
                    load_rows(step)
                for t in range(len(at)):
                    for v in range(count):
                        tile_dot(2 * t + v, 4 + t, 6 + v)
            for t in range(len(starts)):
                for v in range(count):
                    tile_store(2 * t + v, self.sums, t * TILE_ROWS * width + (block + v) * 16, width * 4)

        if p.inner_steps == 1:
            load_rows(0)
        self._blocks(2, columns)

    def vector_products(self, starts: Sequence[tirx.Expr], rows: int) -> None:
        """`height` rows x 64 columns in registers, x 16 where registers are few."""
        p = self.p
        height = min(self.s.height, rows)
        for t, start in enumerate(starts):
            with T.serial(0, -(-rows // height)) as group:
                first = bind(tirx.min(group * height, rows - height))
                at = bind(self.a_start + (start + first) * p.a.row)
                self._blocks(
                    4 if current().parts == 1 else 1,
                    partial(self._vectors, t, first, at, height),
                )

    def _vectors(
        self, t: int, first: tirx.Expr, at: tirx.Expr, height: int, block: tirx.Expr | int, count: int
    ) -> None:
        p, width = self.p, self.p.column_blocks * 16
        if current().mixed and height % 2 == 0:
            to = lambda r: (t * TILE_ROWS + first + r) * width + block * 16
            emit_pairs(p, self.a, at, self.packed, self.corrections, block, height, self.sums, to)
            return
        acc = Accumulators(height * count, "int32")
        for r in range(height):
            for v in range(count):
                acc[r * count + v] = load_vector(self.corrections, (block + v) * 16, 16)
        with T.serial(0, -(-p.inner // 4)) as quad:
            b = [
                bind(load_vector(self.packed, (block + v) * (p.inner_steps * TILE) + quad * 64, 64))
                for v in range(count)
            ]
            for r in range(height):
                a = bind(multiplied(broadcast4(self.a, at + r * p.a.row + quad * 4)))
                for v in range(count):
                    acc[r * count + v] = dot4_multiplied(acc[r * count + v], a, b[v])
        for r in range(height):
            for v in range(count):
                store_vector(self.sums, (t * TILE_ROWS + first + r) * width + (block + v) * 16, acc[r * count + v])

    def _blocks(self, size: int, body: Callable[[tirx.Expr | int, int], None]) -> None:
        """body(block, count) over all column blocks, `size` at a time."""
        whole = self.p.column_blocks // size
        if whole == 1:
            body(0, size)
        elif whole:
            with T.serial(0, whole) as i:
                body(bind(i * size), size)
        if self.p.column_blocks % size:
            body(whole * size, self.p.column_blocks % size)

    def finish(self, row: tirx.Expr, sums_at: tirx.Expr, rows: int) -> None:
        """Emits the epilogue of some rows. row: of the result, sums_at: index of its sums; and the following ones,
        `rows` altogether."""
        p = self.p
        if self.row_parts is not None:
            for r in range(rows):
                store_vector(self.row_parts, r * 16, row_part(p, self.a, bind(self.a_start + (row + r) * p.a.row)))
        if p.softmax is not None:
            self._softmax(row, sums_at, rows)
            return
        to = bind(self.out_start + row * p.out.row)
        scaled = partial(self._scaled, sums_at)
        if p.out_dtype == "int8":
            low, high = max(-128, p.clip_min), min(127, p.clip_max)
            over(
                p.column_blocks,
                4,
                lambda first, size: store_bytes(
                    self.out,
                    to + first * 16,
                    bind(round_straight([scaled(first + i) for i in range(size)], p.out_zero_point, low, high)),
                    16 * size,
                ),
            )
        else:
            over(
                p.column_blocks,
                1,
                lambda first, _: store_vector(
                    self.out, to + first * 16, clip_floats(scaled(first), p.clip_min, p.clip_max)
                ),
            )

    def _sums(self, r: tirx.Expr | int, at: tirx.Expr) -> tirx.Expr:
        """16 sums of row r of those that are finished together."""
        sums = load_vector(self.sums, at, 16)
        return to_float(sums if self.row_parts is None else sums + load_vector(self.row_parts, r * 16, 16))

    def _scaled(self, sums_at: tirx.Expr, v: tirx.Expr | int) -> tirx.Expr:
        return self._sums(0, sums_at + v * 16) * splat(self.p.multiplier, "float32")

    def _softmax(self, row: tirx.Expr, sums_at: tirx.Expr, rows: int) -> None:
        p, e = self.p, self.p.softmax
        assert e is not None, p
        multiplier, scale = np.float32(p.multiplier), 1.0 if e.scale is None else e.scale
        if e.code_scale is None and abs(frexp(scale)[0]) == 0.5 and 2.0**-90 < abs(multiplier * scale) < 2.0**90:
            multiplier, scale = multiplier * np.float32(scale), 1.0  # A power of two gives the same bits.

        def value(r: int, v: int) -> tirx.Expr:
            sums = self._sums(r, sums_at + (r * p.column_blocks + v) * 16)
            x = reuse(sums * splat(float(multiplier), "float32"))
            if e.code_scale is not None:  # What a code is above the zero point, and what it stands for.
                low, high = max(-128, p.clip_min), min(127, p.clip_max)
                x = clip_floats(round_floats(x), low - p.out_zero_point, high - p.out_zero_point)
                x = reuse(x * splat(e.code_scale, "float32"))
            if scale != 1.0:
                x = reuse(x * splat(scale, "float32"))
            if e.mask is not None:
                x = fence(x) + load_vector(self.mask, self.mask_start + (row + r) * e.mask.row + v * 16, 16)
            return x

        emit_softmax_bytes(
            p.columns,
            rows,
            value,
            self.scratch,
            self.out,
            lambda r: self.out_start + (row + r) * p.out.row,
            e.probability_scale,
            e.zero_point,
            e.peak,
        )
