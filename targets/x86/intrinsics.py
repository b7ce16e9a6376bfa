"""The machine instructions that the kernels use, as TIR expressions. Vectors are 512 bits wide; where registers have
256 (see `isa.py`), an instruction is applied to both halves; arm64's are spelled in `targets/arm64/instructions.py`.
The results are the same, bit for bit, on every vector unit. For machines without an instruction `emulation/` has
another spelling of it.

Sources: Intel SDM vol. 2 (VPDPBUSD, VPMADDWD, VPACKSSDW, VPACKUSWB, VPSHUFB, VCVTPS2DQ); names of LLVM 22's
intrinsics."""

from collections.abc import Callable, Sequence

from tvm import tirx
from tvm.tirx.script import builder as T

from ..arm64 import instructions as neon
from ..cpu.expressions import (  # noqa: F401
    bind,
    bits_of,
    by_parts,
    const,
    effect,
    joined_vectors,
    lanes_of,
    load_vector,
    pure,
    splat,
    split_vector,
    store_vector,
    typed,
)
from .isa import current


def broadcast4(buffer: tirx.Buffer, index: tirx.Expr | int, lanes: int = 16) -> tirx.Expr:
    """Four bytes at `index` repeated over all lanes: int32x16."""
    return tirx.Broadcast(tirx.reinterpret("int32", load_vector(buffer, index, 4)), lanes)


def dot4(acc: tirx.Expr, unsigned_bytes: tirx.Expr, signed_bytes: tirx.Expr) -> tirx.Expr:
    """acc[i] + sum over j < 4 of u8[4i + j] * s8[4i + j], exact in int32. acc: 16 int32 (or one register of them); the
    others: as many bits."""
    if current().neon:
        return neon.dot4(current(), acc, unsigned_bytes, signed_bytes)
    if not current().vnni:
        return dot_pairs(acc, split_pairs(unsigned_bytes), _split_weights(signed_bytes))
    data, weights = (
        tirx.reinterpret(f"{kind}8x{4 * lanes_of(acc)}", x)
        for kind, x in (("uint", unsigned_bytes), ("int", signed_bytes))
    )
    return _by_registers(
        {512: "llvm.x86.avx512.vpdpbusd.512", 256: "llvm.x86.avx512.vpdpbusd.256"}, "int32", acc, data, weights
    )


def multiplied(unsigned_bytes: tirx.Expr) -> tirx.Expr:
    """Stored bytes as `dot4_multiplied` takes them: u8, or s8 where dot products take that."""
    return neon.to_signed(unsigned_bytes) if current().signed else unsigned_bytes


def dot4_multiplied(acc: tirx.Expr, data: tirx.Expr, signed_bytes: tirx.Expr) -> tirx.Expr:
    """`dot4` of what `multiplied` gave: where that is s8, the sum is less by 128 times the sum of the signed bytes,
    which kernels have in the constants that sums start from."""
    return neon.dot4_signed(current(), acc, data, signed_bytes) if current().signed else dot4(acc, data, signed_bytes)


def split_pairs(unsigned_bytes: tirx.Expr) -> tuple[tirx.Expr, tirx.Expr]:
    """int32 lanes of four u8 -> (bytes 0 and 2 of every dword, bytes 1 and 3), as pairs of uint16."""
    data, lanes = bind(_halfwords("uint16", unsigned_bytes)), bits_of(unsigned_bytes) // 16
    return bind(data & splat(255, "uint16", lanes)), bind(data >> splat(8, "uint16", lanes))


def _split_weights(signed_bytes: tirx.Expr) -> tuple[tirx.Expr, tirx.Expr]:
    """The same of four s8."""
    weights = bind(_halfwords("int16", signed_bytes))
    eight = splat(8, "int16", lanes_of(weights))
    return bind((weights << eight) >> eight), bind(weights >> eight)


def _halfwords(dtype: str, vector: tirx.Expr) -> tirx.Expr:
    return tirx.reinterpret(f"{dtype}x{bits_of(vector) // 16}", vector)


def dot_pairs(acc: tirx.Expr, data: Sequence[tirx.Expr], weights: Sequence[tirx.Expr]) -> tirx.Expr:
    """`dot4` from 16-bit products. data, weights: (pairs of int16, pairs of int16)."""
    return _ordered(dot2(dot2(acc, data[0], weights[0]), data[1], weights[1]))


def _ordered(sums: tirx.Expr) -> tirx.Expr:
    """Keeps LLVM from reassociating a chain of integer sums: as a tree it needs more registers than there are."""
    floats = f"float32x{lanes_of(sums)}"
    return tirx.reinterpret(
        f"int32x{lanes_of(sums)}", pure(floats, "llvm.arithmetic.fence", tirx.reinterpret(floats, sums))
    )


def dot2(acc: tirx.Expr, data: tirx.Expr, weights: tirx.Expr) -> tirx.Expr:
    """acc[i] + d[2i] * w[2i] + d[2i + 1] * w[2i + 1] in int32 (VPMADDWD). data, weights: as many bits as acc, int16."""
    names = {512: "llvm.x86.avx512.pmaddw.d.512", 256: "llvm.x86.avx2.pmadd.wd"}
    return acc + _by_registers(names, "int32", _halfwords("int16", data), _halfwords("int16", weights))


def dot4_safe(acc: tirx.Expr, unsigned_bytes: tirx.Expr, signed_bytes: tirx.Expr) -> tirx.Expr:
    """`dot4` where no sum of a pair of products leaves int16, so that VPMADDUBSW does not saturate. acc: a register of
    int32; the others: as many bits."""
    data, weights = (
        tirx.reinterpret(f"{kind}8x{4 * lanes_of(acc)}", x)
        for kind, x in (("uint", unsigned_bytes), ("int", signed_bytes))
    )
    pairs = _by_registers(
        {512: "llvm.x86.avx512.pmaddubs.w.512", 256: "llvm.x86.avx2.pmadd.ub.sw"}, "int16", data, weights
    )
    return dot2(acc, pairs, splat(1, "int16", 2 * lanes_of(acc)))


def add_bytes(acc: tirx.Expr, stored: tirx.Expr, k: int) -> tirx.Expr:
    """acc[i] + u8[4i + k]: int32x16 and uint8x64. With VNNI one instruction, a dot product with a one at byte k."""
    if current().neon:
        return neon.add_bytes(current(), acc, stored, k)
    if current().vnni:
        return dot4(acc, stored, splat(1 << (8 * k), "int32"))
    words = tirx.reinterpret("uint32x16", stored) >> splat(8 * k, "uint32")
    return acc + tirx.reinterpret("int32x16", words & splat(255, "uint32"))


def _by_registers(names: dict[int, str], dtype: str, *vectors: tirx.Expr) -> tirx.Expr:
    """The instruction names[bits of a register] on vectors of one or two registers, the result in lanes of `dtype`."""
    if bits_of(vectors[0]) <= current().bits:
        return pure(typed(dtype, vectors[0]), names[bits_of(vectors[0])], *vectors)
    return by_parts(lambda *halves: pure(typed(dtype, halves[0]), names[current().bits], *halves), 2, *vectors)


def fma(acc: tirx.Expr, a: tirx.Expr, b: tirx.Expr) -> tirx.Expr:
    """acc + a * b, rounded once; float32."""
    return pure(f"float32x{lanes_of(acc)}", "llvm.fma", a, b, acc)


def fence(value: tirx.Expr) -> tirx.Expr:
    """float32x16 -> float32x16. Keeps LLVM from contracting a product and a following sum into an FMA, which would
    round once instead of twice."""
    return pure("float32x16", "llvm.arithmetic.fence", value)


def round_to_int(value: tirx.Expr) -> tirx.Expr:
    """float32x16 -> int32x16, to nearest, ties to even; |value| must be below 2**31 (VCVTPS2DQ)."""
    if current().neon:
        return neon.round_to_int(value)
    if current().bits == 512:
        return pure(
            "int32x16",
            "llvm.x86.avx512.mask.cvtps2dq.512",
            value,
            splat(0, "int32"),
            const(-1, "int16"),
            const(4, "int32"),
        )
    return _by_registers({256: "llvm.x86.avx.cvt.ps2dq.256"}, "int32", value)


def scale_by_power(x: tirx.Expr, n: tirx.Expr) -> tirx.Expr:
    """x * 2 ** n, rounded once; float32x16, n whole (VSCALEFPS takes its floor) and -126 <= n <= 127."""
    if current().bits == 512:
        return pure(
            "float32x16",
            "llvm.x86.avx512.mask.scalef.ps.512",
            x,
            n,
            splat(0.0, "float32"),
            const(-1, "int16"),
            const(4, "int32"),
        )
    exponent = (tirx.Cast("int32x16", n) + splat(127, "int32")) << splat(23, "int32")
    return x * tirx.reinterpret("float32x16", exponent)


def fraction_and_scale(t: tirx.Expr) -> tuple[tirx.Expr, Callable[[tirx.Expr], tirx.Expr]]:
    """(t - floor(t) in [0, 1], the function p -> p * 2 ** floor(t)); float32x16, -126 <= t <= 127 (VREDUCEPS,
    VSCALEFPS)."""
    if current().bits == 512:
        fraction = pure(
            "float32x16",
            "llvm.x86.avx512.mask.reduce.ps.512",
            t,
            const(9, "int32"),
            splat(0.0, "float32"),
            const(-1, "int16"),
            const(4, "int32"),
        )
        return bind(fraction), lambda p: scale_by_power(p, t)
    whole = bind(pure("float32x16", "llvm.floor", t))
    return bind(t - whole), lambda p: scale_by_power(p, whole)


def third_bytes(words: list[tirx.Expr]) -> tirx.Expr:
    """Up to four int32x16 -> uint8x64, bits 16 to 23 of every word, vector behind vector (lanes of absent vectors hold
    copies of the last)."""
    words = words + words[-1:] * (4 - len(words))
    if current().bits < 512:
        return pack_bytes([bind((word >> splat(16, "int32")) & splat(255, "int32")) for word in words], 0)
    return tirx.Shuffle([tirx.reinterpret("uint8x64", word) for word in words], [4 * lane + 2 for lane in range(64)])


def shuffle_bytes(table: tirx.Expr, index: tirx.Expr) -> tirx.Expr:
    """Within 128-bit lanes: table[index & 15], 0 where bit 7 of the index is set (VPSHUFB). uint8x64."""
    if current().neon:
        return neon.shuffle_bytes(table, index)
    return _by_registers({512: "llvm.x86.avx512.pshuf.b.512", 256: "llvm.x86.avx2.pshuf.b"}, "uint8", table, index)


# VPACKSSDW and VPACKUSWB work within 128-bit lanes; this order of dwords puts the bytes of four packed vectors one
# vector behind the other.
_UNPACKED = [0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15]


def interleave_bytes(rows: list[tirx.Expr]) -> list[tirx.Expr]:
    """Up to four uint8x64 (or x32) -> four int32x16 (x8): the bytes of all rows (zero for missing ones) of one channel
    side by side, ready for `dot4`.

    Vector v, 128-bit lane g, element e holds channel 16 g + 4 v + e (VPUNPCK works within lanes)."""
    width = lanes_of(rows[0])
    zero = splat(0, "uint8", width)
    a, b, c, d = (rows + [zero] * (4 - len(rows)))[:4]

    def unpack(x: tirx.Expr, y: tirx.Expr, high: bool, size: int) -> tirx.Expr:
        lanes = width // size
        per_lane = 16 // size
        first = per_lane // 2 if high else 0
        order = [
            g * per_lane + first + i // 2 + (lanes if i % 2 else 0) for g in range(width // 16) for i in range(per_lane)
        ]
        dtype = f"uint{8 * size}x{lanes}"
        return tirx.Shuffle([tirx.reinterpret(dtype, x), tirx.reinterpret(dtype, y)], order)

    halves = [
        (bind(unpack(a, b, high, 1)), bind(unpack(c, d, high, 1)) if len(rows) > 2 else zero) for high in (False, True)
    ]
    return [
        tirx.reinterpret(f"int32x{width // 4}", unpack(low, high, second, 2))
        for low, high in halves
        for second in (False, True)
    ]


def pack_interleaved(vectors: Sequence[tirx.Expr], zero_point: int) -> tirx.Expr:
    """The inverse of `interleave_bytes` on results: four int32x16 -> uint8x64 = clip(v + zero_point, 0, 255) in the
    order of the channels. Byte 4 k + e of 128-bit lane g is lane 4 g + e of vector k."""
    return _pack(vectors, zero_point)


def pack_bytes(vectors: Sequence[tirx.Expr], zero_point: int) -> tirx.Expr:
    """Four int32x16 -> uint8x64 = clip(v + zero_point, 0, 255), vector behind vector. zero_point: stored, 0..255."""
    if current().bits == 512:
        return tirx.reinterpret(
            "uint8x64", tirx.Shuffle([tirx.reinterpret("int32x16", _pack(vectors, zero_point))], _UNPACKED)
        )
    if current().neon:
        return neon.pack_straight(vectors, zero_point)
    # Each vector's two halves packed together need one permutation of dwords per 32 bytes, where _UNPACKED would mix
    # all registers.
    halves = [half for v in vectors for half in split_vector(bind(v), 2)]
    packed = [tirx.reinterpret("int32x8", _pack(halves[i : i + 4], zero_point)) for i in (0, 4)]
    return tirx.Shuffle(
        [bind(tirx.reinterpret("uint8x32", tirx.Shuffle([p], [0, 4, 1, 5, 2, 6, 3, 7]))) for p in packed],
        list(range(64)),
    )


def _pack(vectors: Sequence[tirx.Expr], zero_point: int) -> tirx.Expr:
    if current().neon:
        return neon.pack_lanes(vectors, zero_point)
    names = {512: "llvm.x86.avx512.packssdw.512", 256: "llvm.x86.avx2.packssdw"}
    words = [_by_registers(names, "int16", vectors[i], vectors[i + 1]) for i in (0, 2)]
    if zero_point != 0:
        words = [
            pure(f"int16x{lanes_of(word)}", "llvm.sadd.sat", word, splat(zero_point, "int16", lanes_of(word)))
            for word in words
        ]
    return _by_registers({512: "llvm.x86.avx512.packuswb.512", 256: "llvm.x86.avx2.packuswb"}, "uint8", *words)


def part(vector: tirx.Expr, start: int, lanes: int) -> tirx.Expr:
    """Lanes [start, start + lanes) of a uint8x64."""
    if lanes == 64:
        return vector
    words = tirx.Shuffle([tirx.reinterpret("int32x16", vector)], [start // 4 + i for i in range(lanes // 4)])
    return tirx.reinterpret(f"uint8x{lanes}", words)


def prefetch(buffer: tirx.Buffer, index: tirx.Expr | int) -> None:
    """Asks for the cache line at `index` to be brought into the second-level cache; an address behind the buffer is
    harmless."""
    T.evaluate(
        tirx.call_llvm_intrin(
            "void",
            "llvm.prefetch",
            tirx.address_of(buffer[index]),
            const(0, "int32"),
            const(2, "int32"),
            const(1, "int32"),
        )
    )
