"""The machine instructions that the kernels use, as TIR expressions. Vectors are 512 bits wide.

Sources: Intel SDM vol. 2 (VPDPBUSD, TDPBUSD, TILELOADD, VPACKSSDW, VPACKUSWB, VCVTPS2DQ); names of LLVM 22's intrinsics."""

import numpy as np
from tvm import tirx
from tvm.tirx.script import builder as T

TILE_ROWS, TILE_BYTES = 16, 64


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
    """acc[i] + sum over j < 4 of u8[4i + j] * s8[4i + j], exact in int32 (VPDPBUSD, no saturation). All int32x16."""
    return pure("int32x16", "llvm.x86.avx512.vpdpbusd.512", acc, tirx.reinterpret("uint8x64", unsigned_bytes), tirx.reinterpret("int8x64", signed_bytes))


def fma(acc, a, b):
    return pure("float32x16", "llvm.fma", a, b, acc)


def fence(value):
    """float32x16 -> float32x16. Keeps LLVM from contracting a product and a following sum into an FMA, which would round once instead of twice."""
    return pure("float32x16", "llvm.arithmetic.fence", value)


def round_to_int(value):
    """float32x16 -> int32x16, to nearest, ties to even; |value| must be below 2**31 (VCVTPS2DQ)."""
    return pure("int32x16", "llvm.x86.avx512.mask.cvtps2dq.512", value, splat(0, "int32"), const(-1, "int16"), const(4, "int32"))


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
    """The inverse of `interleave_bytes` on results: four int32x16 -> uint8x64 = clip(v + zero_point, 0, 255) in the order of the channels."""
    return _pack(vectors, zero_point)


def pack_bytes(vectors, zero_point):
    """Four int32x16 -> uint8x64 = clip(v + zero_point, 0, 255), vector behind vector. zero_point: stored, 0..255."""
    return tirx.reinterpret("uint8x64", tirx.Shuffle([tirx.reinterpret("int32x16", _pack(vectors, zero_point))], _UNPACKED))


def _pack(vectors, zero_point):
    halves = [pure("int16x32", "llvm.x86.avx512.packssdw.512", vectors[i], vectors[i + 1]) for i in (0, 2)]
    if zero_point != 0:
        halves = [pure("int16x32", "llvm.sadd.sat", half, splat(zero_point, "int16", 32)) for half in halves]
    return pure("uint8x64", "llvm.x86.avx512.packuswb.512", *halves)


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
    config[48:56] = [rows] * 6 + [TILE_ROWS] * 2
    return config


def tile_load(tile, buffer, index, stride_bytes):
    effect("llvm.x86.tileloadd64", const(tile, "int8"), tirx.address_of(buffer[index]), const(stride_bytes, "int64"))


def tile_store(tile, buffer, index, stride_bytes):
    effect("llvm.x86.tilestored64", const(tile, "int8"), tirx.address_of(buffer[index]), const(stride_bytes, "int64"))


def tile_dot(acc, data, weights):
    """Tile `acc` (int32) += tile `data` (u8 rows) x tile `weights` (s8, four input channels interleaved), exact in int32."""
    effect("llvm.x86.tdpbusd", *(const(tile, "int8") for tile in (acc, data, weights)))
