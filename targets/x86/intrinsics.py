"""The machine instructions that the kernels use, as TIR expressions. Vectors are 512 bits wide; where registers have 256 (see `isa.py`), an instruction is
applied to both halves. The results are the same, bit for bit, on every vector unit.

Sources: Intel SDM vol. 2 (VPDPBUSD, VPMADDWD, TDPBUSD, TILELOADD, VPACKSSDW, VPACKUSWB, VPSHUFB, VCVTPS2DQ); names of LLVM 22's intrinsics."""

import numpy as np
from tvm import tirx
from tvm.tirx.script import builder as T

from .isa import current

TILE_ROWS, TILE_BYTES = 16, 64
TILE_ROWS_AT = 48  # byte of the tile configuration that holds the rows of tile 0


def const(value, dtype):
    return tirx.const(value, dtype)


def splat(value, dtype, lanes=16):
    return tirx.Broadcast(value if not isinstance(value, (int, float)) else const(value, dtype), lanes)


def bind(value):
    """A name for `value`, so that it is computed once."""
    return T.Bind(value)


def load(buffer, index, lanes):
    return buffer.vload([index], f"{buffer.dtype}x{lanes}")


def store(buffer, index, value):
    T.add_to_parent(buffer.vstore([index], value))


def pure(dtype, name, *args):
    return tirx.call_llvm_pure_intrin(dtype, name, *args)


def effect(name, *args):
    T.evaluate(tirx.call_llvm_intrin("void", name, *args))


def broadcast4(buffer, index):
    """Four bytes at `index` repeated over 16 lanes: int32x16."""
    return tirx.Broadcast(tirx.reinterpret("int32", load(buffer, index, 4)), 16)


def dot4(acc, unsigned_bytes, signed_bytes):
    """acc[i] + sum over j < 4 of u8[4i + j] * s8[4i + j], exact in int32. All int32x16."""
    data, weights = tirx.reinterpret("uint8x64", unsigned_bytes), tirx.reinterpret("int8x64", signed_bytes)
    if not current().vnni:
        return dot_pairs(acc, split_pairs(unsigned_bytes), _split_weights(signed_bytes))
    if current().bits == 512:
        return pure("int32x16", "llvm.x86.avx512.vpdpbusd.512", acc, data, weights)
    return _by_halves("int32", 8, lambda *x: pure("int32x8", "llvm.x86.avx512.vpdpbusd.256", *x), acc, data, weights)


def split_pairs(unsigned_bytes):
    """int32x16 of four u8 -> (bytes 0 and 2 of every dword, bytes 1 and 3), as pairs of int16."""
    data = bind(tirx.reinterpret("uint16x32", unsigned_bytes))
    return bind(data & splat(255, "uint16", 32)), bind(data >> splat(8, "uint16", 32))


def _split_weights(signed_bytes):
    """The same of four s8."""
    weights, eight = bind(tirx.reinterpret("int16x32", signed_bytes)), splat(8, "int16", 32)
    return bind((weights << eight) >> eight), bind(weights >> eight)


def dot_pairs(acc, data, weights):
    """`dot4` from 16-bit products. data, weights: (pairs of int16, pairs of int16)."""
    return dot2(dot2(acc, data[0], weights[0]), data[1], weights[1])


def dot2(acc, data, weights):
    """acc[i] + d[2i] * w[2i] + d[2i + 1] * w[2i + 1] in int32 (VPMADDWD). acc int32x16; data, weights: 512 bits that hold int16."""
    data, weights = (bind(tirx.reinterpret("int16x32", x)) for x in (data, weights))
    if current().bits == 512:
        return acc + pure("int32x16", "llvm.x86.avx512.pmaddw.d.512", data, weights)
    return acc + _by_halves("int32", 8, lambda *x: pure("int32x8", "llvm.x86.avx2.pmadd.wd", *x), data, weights)


def add_bytes(acc, stored, k):
    """acc[i] + u8[4i + k]: int32x16 and uint8x64. With VNNI one instruction, a dot product with a one at byte k."""
    if current().vnni:
        return dot4(acc, stored, splat(1 << (8 * k), "int32"))
    words = tirx.reinterpret("uint32x16", stored) >> splat(8 * k, "uint32")
    return acc + tirx.reinterpret("int32x16", words & splat(255, "uint32"))


def _by_halves(dtype, lanes, operation, *vectors):
    """operation(lower halves), operation(upper halves), which have `lanes` lanes each, as one vector."""
    vectors = [bind(vector) for vector in vectors]
    halves = []
    for upper in (0, 1):
        found = []
        for vector in vectors:
            size = _lanes(vector) // 2
            found.append(tirx.Shuffle([vector], list(range(upper * size, upper * size + size))))
        halves.append(bind(operation(*found)))
    return tirx.Shuffle(halves, list(range(2 * lanes)))


def _lanes(vector):
    return int(str(vector.ty).rpartition("x")[2])


def fma(acc, a, b):
    return pure("float32x16", "llvm.fma", a, b, acc)


def fence(value):
    """float32x16 -> float32x16. Keeps LLVM from contracting a product and a following sum into an FMA, which would round once instead of twice."""
    return pure("float32x16", "llvm.arithmetic.fence", value)


def round_to_int(value):
    """float32x16 -> int32x16, to nearest, ties to even; |value| must be below 2**31 (VCVTPS2DQ)."""
    if current().bits == 512:
        return pure("int32x16", "llvm.x86.avx512.mask.cvtps2dq.512", value, splat(0, "int32"), const(-1, "int16"), const(4, "int32"))
    return _by_halves("int32", 8, lambda x: pure("int32x8", "llvm.x86.avx.cvt.ps2dq.256", x), value)


def scale_by_power(x, n):
    """x * 2 ** n, rounded once; float32x16, n whole and -126 <= n <= 127 (VSCALEFPS)."""
    if current().bits == 512:
        return pure("float32x16", "llvm.x86.avx512.mask.scalef.ps.512", x, n, splat(0.0, "float32"), const(-1, "int16"), const(4, "int32"))
    exponent = (tirx.Cast("int32x16", n) + splat(127, "int32")) << splat(23, "int32")
    return x * tirx.reinterpret("float32x16", exponent)


def shuffle_bytes(table, index):
    """Within 128-bit lanes: table[index & 15], 0 where bit 7 of the index is set (VPSHUFB). uint8x64."""
    if current().bits == 512:
        return pure("uint8x64", "llvm.x86.avx512.pshuf.b.512", table, index)
    return _by_halves("uint8", 32, lambda *x: pure("uint8x32", "llvm.x86.avx2.pshuf.b", *x), table, index)


# VPACKSSDW and VPACKUSWB work within 128-bit lanes; this order of dwords puts the bytes of four packed vectors one vector behind the other.
_UNPACKED = [0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15]


def interleave_bytes(rows):
    """Up to four uint8x64 -> four int32x16: the bytes of all rows (zero for missing ones) of one channel side by side, ready for `dot4`.

    Vector v, 128-bit lane g, element e holds channel 16 g + 4 v + e (VPUNPCK works within lanes)."""
    zero = splat(0, "uint8", 64)
    a, b, c, d = (rows + [zero] * (4 - len(rows)))[:4]

    def unpack(x, y, high, size):
        lanes = 64 // size
        per_lane = 16 // size
        first = per_lane // 2 if high else 0
        order = [g * per_lane + first + i // 2 + (lanes if i % 2 else 0) for g in range(4) for i in range(per_lane)]
        dtype = f"uint{8 * size}x{lanes}"
        return tirx.Shuffle([tirx.reinterpret(dtype, x), tirx.reinterpret(dtype, y)], order)

    halves = [(bind(unpack(a, b, high, 1)), bind(unpack(c, d, high, 1)) if len(rows) > 2 else zero) for high in (False, True)]
    return [tirx.reinterpret("int32x16", unpack(low, high, second, 2)) for low, high in halves for second in (False, True)]


def pack_interleaved(vectors, zero_point):
    """The inverse of `interleave_bytes` on results: four int32x16 -> uint8x64 = clip(v + zero_point, 0, 255) in the order of the channels.
    Byte 4 k + e of 128-bit lane g is lane 4 g + e of vector k."""""
    return _pack(vectors, zero_point)


def pack_bytes(vectors, zero_point):
    """Four int32x16 -> uint8x64 = clip(v + zero_point, 0, 255), vector behind vector. zero_point: stored, 0..255."""
    if current().bits == 256:
        # each vector's two halves packed together need one permutation of dwords per 32 bytes, where _UNPACKED would mix all registers
        vectors = [[tirx.Shuffle([bind(v)], list(range(start, start + 8))) for start in (0, 8)] for v in vectors]
        return tirx.Shuffle([_pack_halves(pair, zero_point) for pair in (vectors[:2], vectors[2:])], list(range(64)))
    return tirx.reinterpret("uint8x64", tirx.Shuffle([tirx.reinterpret("int32x16", _pack(vectors, zero_point))], _UNPACKED))


def _pack(vectors, zero_point):
    halves = [_pack_words(vectors[i], vectors[i + 1]) for i in (0, 2)]
    if zero_point != 0:
        halves = [pure("int16x32", "llvm.sadd.sat", half, splat(zero_point, "int16", 32)) for half in halves]
    if current().bits == 512:
        return pure("uint8x64", "llvm.x86.avx512.packuswb.512", *halves)
    return _by_halves("uint8", 32, lambda *x: pure("uint8x32", "llvm.x86.avx2.packuswb", *x), *halves)


def _pack_halves(vectors, zero_point):
    """Two pairs of int32x8 -> uint8x32, vector behind vector."""
    words = [pure("int16x16", "llvm.x86.avx2.packssdw", *vector) for vector in vectors]
    if zero_point != 0:
        words = [pure("int16x16", "llvm.sadd.sat", word, splat(zero_point, "int16")) for word in words]
    packed = tirx.reinterpret("int32x8", pure("uint8x32", "llvm.x86.avx2.packuswb", *words))
    return bind(tirx.reinterpret("uint8x32", tirx.Shuffle([packed], [0, 4, 1, 5, 2, 6, 3, 7])))


def _pack_words(a, b):
    if current().bits == 512:
        return pure("int16x32", "llvm.x86.avx512.packssdw.512", a, b)
    return _by_halves("int16", 16, lambda *x: pure("int16x16", "llvm.x86.avx2.packssdw", *x), a, b)


def part(vector, start, lanes):
    """Lanes [start, start + lanes) of a uint8x64."""
    if lanes == 64:
        return vector
    words = tirx.Shuffle([tirx.reinterpret("int32x16", vector)], [start // 4 + i for i in range(lanes // 4)])
    return tirx.reinterpret(f"uint8x{lanes}", words)


def tile_config(rows):
    """The 64-byte configuration for LDTILECFG: tiles 0-5 `rows` x 64 bytes (accumulators, data), tiles 6-7 16 x 64 bytes (weights)."""
    config = np.zeros(64, "uint8")
    config[0] = 1
    config[16:32].view("uint16")[:] = TILE_BYTES
    config[TILE_ROWS_AT : TILE_ROWS_AT + 8] = [rows] * 6 + [TILE_ROWS] * 2
    return config


def tile_configure(config):
    """Makes `config` (u8[64]) this thread's tile configuration. LDTILECFG takes about 200 ns, reading the present one 20: it is loaded only if it differs.
    Nothing releases the tiles between kernels; `octet_run` does so at its end."""
    now = T.alloc_buffer((TILE_BYTES,), "uint8", annotations={"disable_lower_builtin": True})  # on the stack
    effect("llvm.x86.sttilecfg", tirx.address_of(now[0]))
    difference = tirx.reinterpret("int32x16", load(now, 0, 64)) ^ tirx.reinterpret("int32x16", load(config, 0, 64))
    with T.If(pure("int32", "llvm.vector.reduce.or", difference) != 0):
        with T.Then():
            effect("llvm.x86.ldtilecfg", tirx.address_of(config[0]))


def tile_release():
    effect("llvm.x86.tilerelease")


def tile_load(tile, buffer, index, stride_bytes):
    effect("llvm.x86.tileloadd64", const(tile, "int8"), tirx.address_of(buffer[index]), const(stride_bytes, "int64"))


def tile_store(tile, buffer, index, stride_bytes):
    effect("llvm.x86.tilestored64", const(tile, "int8"), tirx.address_of(buffer[index]), const(stride_bytes, "int64"))


def tile_dot(acc, data, weights):
    """Tile `acc` (int32) += tile `data` (u8 rows) x tile `weights` (s8, four input channels interleaved), exact in int32."""
    effect("llvm.x86.tdpbusd", *(const(tile, "int8") for tile in (acc, data, weights)))
