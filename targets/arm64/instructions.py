"""The machine instructions of arm64's vector unit that kernels use, as TIR expressions; their meaning is that of the
functions of the same names in `targets/x86/intrinsics.py`, on vectors of any number of 128-bit registers.

Sources: Arm Architecture Reference Manual for A-profile (SDOT, UDOT, USDOT, USMMLA, SMULL, SADALP, FCVTNS, SQXTN,
SQXTUN, TBL, TBX); names of LLVM 22's intrinsics."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from tvm import tirx

from ..cpu.expressions import bind, bits_of, by_parts, joined_vectors, lanes_of, pure, splat, split_vector, typed

if TYPE_CHECKING:
    from ..x86.isa import Isa


BITS = 128


def _registers(operation: Callable[..., tirx.Expr], *vectors: tirx.Expr) -> tirx.Expr:
    """`operation` on every register of the vectors."""
    return by_parts(operation, bits_of(vectors[0]) // BITS, *vectors)


def dot4(isa: "Isa", acc: tirx.Expr, unsigned_bytes: tirx.Expr, signed_bytes: tirx.Expr) -> tirx.Expr:
    """acc[i] + sum over j < 4 of u8[4i + j] * s8[4i + j]. Without USDOT the bytes minus 128 are multiplied, and 128
    times the sum of the s8 is added back."""
    if isa.mixed:
        usdot = lambda a, u, s: pure(
            "int32x4", "llvm.aarch64.neon.usdot.v4i32.v16i8", a, _bytes("uint8", u), _bytes("int8", s)
        )
        return _registers(usdot, acc, unsigned_bytes, signed_bytes)
    signed_bytes = bind(signed_bytes)
    least = splat(-128, "int8", 4 * lanes_of(acc))
    shifted = dot4_signed(isa, acc, to_signed(unsigned_bytes), signed_bytes)
    return shifted - dot4_signed(isa, splat(0, "int32", lanes_of(acc)), signed_bytes, least)


def dot4_signed(isa: "Isa", acc: tirx.Expr, a: tirx.Expr, b: tirx.Expr) -> tirx.Expr:
    """acc[i] + sum over j < 4 of s8[4i + j] * s8[4i + j]."""
    return _registers(_sdot if isa.dotprod else _smull, acc, a, b)


def _sdot(acc: tirx.Expr, a: tirx.Expr, b: tirx.Expr) -> tirx.Expr:
    """Of `b` and `a`: the second operand may be one lane of a register, which kernels have as their first."""
    return pure("int32x4", "llvm.aarch64.neon.sdot.v4i32.v16i8", acc, _bytes("int8", b), _bytes("int8", a))


def _smull(acc: tirx.Expr, a: tirx.Expr, b: tirx.Expr) -> tirx.Expr:
    """Products of 16 bits. Two of them may leave 16 bits (-128 * -128), so they are added in 32."""
    halves = zip(split_vector(bind(_bytes("int8", a)), 2), split_vector(bind(_bytes("int8", b)), 2))
    products = (pure("int16x8", "llvm.aarch64.neon.smull.v8i16", x, y) for x, y in halves)
    pairs = [bind(pure("int32x4", "llvm.aarch64.neon.saddlp.v4i32.v8i16", product)) for product in products]
    return acc + pure("int32x4", "llvm.aarch64.neon.addp.v4i32", *pairs)


def product_of_pairs(acc: tirx.Expr, unsigned_bytes: tirx.Expr, signed_bytes: tirx.Expr) -> tirx.Expr:
    """acc[2i + j] + sum over k < 8 of u8[8i + k] * s8[8j + k], i and j of 0 and 1 (USMMLA): one register of each."""
    return pure("int32x4", "llvm.aarch64.neon.usmmla.v4i32.v16i8", acc, unsigned_bytes, signed_bytes)


def starts_of_pairs(values: tirx.Expr) -> list[tirx.Expr]:
    """Four values of neighbouring columns as the sums that two rows start from: of two registers of
    `product_of_pairs`."""
    return [tirx.Shuffle([values], [i, i + 1] * 2) for i in (0, 2)]


def row_of_pairs(registers: Sequence[tirx.Expr], row: int) -> tirx.Expr:
    """What registers of `product_of_pairs`, of the same two rows and of columns behind each other, hold of one of the
    rows."""
    return tirx.Shuffle(registers, [4 * i + 2 * row + j for i in range(len(registers)) for j in range(2)])


def to_signed(stored: tirx.Expr) -> tirx.Expr:
    """Stored bytes, u8 = s8 + 128, as s8 (any lanes)."""
    return tirx.reinterpret(str(stored.ty), _bytes("uint8", stored) ^ splat(128, "uint8", bits_of(stored) // 8))


def _bytes(dtype: str, vector: tirx.Expr) -> tirx.Expr:
    return tirx.reinterpret(typed(dtype, vector), vector)


def add_bytes(isa: "Isa", acc: tirx.Expr, stored: tirx.Expr, k: int) -> tirx.Expr:
    """acc[i] + u8[4i + k]."""
    if isa.dotprod:
        one = splat(1 << (8 * k), "int32", 4)
        udot = lambda a, u: pure("int32x4", "llvm.aarch64.neon.udot.v4i32.v16i8", a, u, _bytes("uint8", one))
        return _registers(udot, acc, stored)
    lanes = lanes_of(acc)
    words = tirx.reinterpret(f"uint32x{lanes}", stored) >> splat(8 * k, "uint32", lanes)
    return acc + tirx.reinterpret(f"int32x{lanes}", words & splat(255, "uint32", lanes))


def round_to_int(value: tirx.Expr) -> tirx.Expr:
    """FCVTNS: to nearest, ties to even."""
    return _registers(lambda x: pure("int32x4", "llvm.aarch64.neon.fcvtns.v4i32.v4f32", x), value)


def pack_lanes(vectors: Sequence[tirx.Expr], zero_point: int) -> tirx.Expr:
    """Four vectors of int32 -> uint8 = clip(v + zero_point, 0, 255): of the first register of each the 16 bytes behind
    each other, then of the second, ..."""
    registers = [split_vector(bind(vector), bits_of(vector) // BITS) for vector in vectors]
    return joined_vectors([bind(_pack(group, zero_point)) for group in zip(*registers)])


def pack_straight(vectors: Sequence[tirx.Expr], zero_point: int) -> tirx.Expr:
    """Packs as `pack` does, but with the bytes of the first vector in front of those of the second, and so on."""
    return joined_vectors([bind(_pack(split_vector(bind(vector), 4), zero_point)) for vector in vectors])


def _pack(registers: Sequence[tirx.Expr], zero_point: int) -> tirx.Expr:
    words = [pure("int16x4", "llvm.aarch64.neon.sqxtn.v4i16", register) for register in registers]
    words = [bind(tirx.Shuffle(words[i : i + 2], list(range(8)))) for i in (0, 2)]
    if zero_point != 0:
        words = [bind(pure("int16x8", "llvm.sadd.sat", word, splat(zero_point, "int16", 8))) for word in words]
    return tirx.Shuffle([pure("uint8x8", "llvm.aarch64.neon.sqxtun.v8i8", word) for word in words], list(range(16)))


def shuffle_bytes(table: tirx.Expr, index: tirx.Expr) -> tirx.Expr:
    """Within registers: table[index & 15], 0 where bit 7 of the index is set."""
    kept = lambda t, i: pure("uint8x16", "llvm.aarch64.neon.tbl1.v16i8", t, i & splat(0x8F, "uint8", 16))
    return _registers(kept, table, index)


def permuted(index: tirx.Expr, table: Sequence[tirx.Expr]) -> tirx.Expr:
    """table[index] of uint8; table: 16 registers of 16 bytes. TBL and TBX look into four registers: an index behind
    them leaves what is there."""
    index, step = bind(index), splat(64, "uint8", 16)

    def look_up(at: tirx.Expr) -> tirx.Expr:
        found = bind(pure("uint8x16", "llvm.aarch64.neon.tbl4.v16i8", *table[:4], at))
        for first in (4, 8, 12):
            at = bind(at - step)
            found = bind(pure("uint8x16", "llvm.aarch64.neon.tbx4.v16i8", found, *table[first : first + 4], at))
        return found

    return _registers(look_up, index)
