"""The second operand of a product of two computed tensors, repacked at run time for u8 x s8 dot products.

A block of 16 columns and 64 inner elements becomes 16 rows of 64 bytes: row i holds elements 4i .. 4i + 3 of every
column, side by side, as s8. Inner elements behind the end are zero, so whatever the first operand has there does not
count. `corrections[n]` = -(128 + z) * sum of column n: the first operand is stored as u8 = s8 + 128, and sum((u8 - 128
- z) * b) = sum(u8 * b) - (128 + z) * sum(b). Where dot products take s8 * s8 the stored bytes are s8: -z * sum(b).
Where the second operand has a zero point, too, the rows of the first have corrections (product.py)."""

from tvm import tirx
from tvm.tirx.script import builder as T

from ...cpu.expressions import bind, load_vector, splat, store_vector
from ..intrinsics import dot4, interleave_bytes
from ..isa import current
from ..reformat.transpose import lanes_of_four, transpose16
from ..vector_loops import Accumulators
from .problem import INNER_BLOCK, MatmulProblem

TILE = 16 * INNER_BLOCK


def packed_bytes(p: MatmulProblem) -> int:
    """The packed matrix, [column block][inner step][16][64]."""
    return p.column_blocks * p.inner_steps * TILE


def emit_pack(p: MatmulProblem, b: tirx.Buffer, base: tirx.Expr, packed: tirx.Buffer, corrections: tirx.Buffer) -> None:
    """Emits the packing of an operand, and the corrections of its columns. b: uint8 buffer, the matrix begins at
    `base`. packed: uint8 (s8 bits), corrections: int32 [column blocks * 16]."""
    if p.b.row == 1:
        _pack_keys(p, b, base, packed, corrections)
    else:
        _pack_values(p, b, base, packed, corrections)


def _signed(stored: tirx.Expr) -> tirx.Expr:
    return stored ^ splat(0x80808080 - (1 << 32), "int32")


def _pack_keys(
    p: MatmulProblem, b: tirx.Buffer, base: tirx.Expr, packed: tirx.Buffer, corrections: tirx.Buffer
) -> None:
    """Inner elements are contiguous: 16 columns of 64 bytes are a 16 x 16 transpose of dwords."""
    with T.serial(0, p.column_blocks) as block:
        sums = Accumulators(1, "int32")
        sums[0] = splat(0, "int32")
        for step in range(p.inner_steps):
            rows = []
            for i in range(16):
                column = block * 16 + i
                column = column if p.columns % 16 == 0 else tirx.min(column, p.columns - 1)
                rows.append(
                    bind(
                        _signed(
                            tirx.reinterpret(
                                "int32x16", load_vector(b, base + column * p.b.column + step * INNER_BLOCK, 64)
                            )
                        )
                    )
                )
            columns = transpose16(rows)
            for i in range(16):
                _put(p, packed, block, step, i, columns[i], sums)
        _correct(p, corrections, block, sums[0])


def _put(
    p: MatmulProblem,
    packed: tirx.Buffer,
    block: tirx.Expr,
    step: int,
    i: int,
    value: tirx.Expr,
    sums: Accumulators,
) -> None:
    """Row i of a tile; elements behind the inner axis become zero."""
    left = p.inner - step * INNER_BLOCK - 4 * i
    if left <= 0:
        value = splat(0, "int32")
    elif left < 4:
        value = value & splat((1 << (8 * left)) - 1, "int32")
    value = bind(value)
    store_vector(packed, (block * p.inner_steps + step) * TILE + i * 64, tirx.reinterpret("uint8x64", value))
    if left > 0 and _offset(p):
        sums[0] = dot4(sums[0], splat(abs(_offset(p)), "uint8", 64), value)


def _offset(p: MatmulProblem) -> int:
    """What a stored byte of the first operand is above the number that it stands for, in steps."""
    return p.a_zero_point + (0 if current().signed else 128)


def _correct(p: MatmulProblem, corrections: tirx.Buffer, block: tirx.Expr | int, total: tirx.Expr) -> None:
    """Emits the corrections. total: of the columns, times the magnitude of the offset."""
    store_vector(corrections, block * 16, splat(0, "int32") - total if _offset(p) > 0 else total)


def _pack_values(
    p: MatmulProblem, b: tirx.Buffer, base: tirx.Expr, packed: tirx.Buffer, corrections: tirx.Buffer
) -> None:
    """Columns are contiguous: four rows of 64 bytes are interleaved; 64 columns at a time."""
    for first in range(0, p.column_blocks, 4):
        count = min(4, p.column_blocks - first)
        sums = Accumulators(count, "int32")
        for j in range(count):
            sums[j] = splat(0, "int32")

        def group(
            step: tirx.Expr | int,
            i: tirx.Expr | int,
            present: int,
            first: int = first,
            count: int = count,
            sums: Accumulators = sums,
        ) -> None:
            start = base + (step * INNER_BLOCK + i * 4) * p.b.row + first * 16
            rows = [bind(load_vector(b, start + r * p.b.row, 64) ^ splat(128, "uint8", 64)) for r in range(present)]
            for j, value in enumerate(lanes_of_four([bind(v) for v in interleave_bytes(rows)])[:count]):
                value = bind(value)
                store_vector(
                    packed, ((first + j) * p.inner_steps + step) * TILE + i * 64, tirx.reinterpret("uint8x64", value)
                )
                if _offset(p):
                    sums[j] = dot4(sums[j], splat(abs(_offset(p)), "uint8", 64), value)

        whole = p.inner // 4
        if whole:
            with T.serial(0, whole) as quad:
                group(bind(tirx.floordiv(quad, 16)), bind(tirx.floormod(quad, 16)), 4)
        if p.inner % 4:
            group(whole // 16, whole % 16, p.inner % 4)
        for absent in range(-(-p.inner // 4), p.inner_steps * 16):
            for j in range(count):
                at = ((first + j) * p.inner_steps + absent // 16) * TILE + absent % 16 * 64
                store_vector(packed, at, splat(0, "uint8", 64))
        for j in range(count):
            _correct(p, corrections, first + j, sums[j])
