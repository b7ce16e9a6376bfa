"""Tiles of AMX: their configuration, loads, stores and products, each one instruction (Intel SDM vol. 2: LDTILECFG,
TILELOADD, TILESTORED, TDPBUSD; names of LLVM 22's intrinsics)."""

from typing import Any

import numpy as np
from tvm import tirx
from tvm.tirx.script import builder as T

from ..cpu.expressions import (
    const,
    effect,
    load_vector,
    pure,
)

TILE_ROWS, TILE_BYTES = 16, 64
TILE_ROWS_AT = 48  # The tile configuration holds the rows of tile 0 at this byte.


def tile_config(rows: int) -> np.ndarray:
    """The 64-byte configuration for LDTILECFG: tiles 0-5 `rows` x 64 bytes (accumulators, data), tiles 6-7 16 x 64
    bytes (weights)."""
    config = np.zeros(64, "uint8")
    config[0] = 1
    config[16:32].view("uint16")[:] = TILE_BYTES
    config[TILE_ROWS_AT : TILE_ROWS_AT + 8] = [rows] * 6 + [TILE_ROWS] * 2
    return config


def tile_configure(config: Any) -> None:
    """Makes `config` (u8[64]) this thread's tile configuration. LDTILECFG is many times as slow as reading the
    present one: it is loaded only if it differs.
    Nothing releases the tiles between kernels; `octet_run` does so at its end."""
    # The buffer lies on the stack.
    now = T.alloc_buffer((TILE_BYTES,), "uint8", annotations={"disable_lower_builtin": True})
    effect("llvm.x86.sttilecfg", tirx.address_of(now[0]))
    difference = tirx.reinterpret("int32x16", load_vector(now, 0, 64)) ^ tirx.reinterpret(
        "int32x16", load_vector(config, 0, 64)
    )
    with T.If(pure("int32", "llvm.vector.reduce.or", difference) != 0):
        with T.Then():
            effect("llvm.x86.ldtilecfg", tirx.address_of(config[0]))


def tile_release() -> None:
    """TILERELEASE: a thread that holds tiles costs the system more at every switch."""
    effect("llvm.x86.tilerelease")


def tile_zero(tile: int) -> None:
    """Emits TILEZERO: the tile's sums become 0."""
    effect("llvm.x86.tilezero", const(tile, "int8"))


def tile_load(tile: int, buffer: tirx.Buffer, index: tirx.Expr | int, stride_bytes: int) -> None:
    """TILELOADD of rows that are so many bytes apart."""
    effect("llvm.x86.tileloadd64", const(tile, "int8"), tirx.address_of(buffer[index]), const(stride_bytes, "int64"))


def tile_store(tile: int, buffer: tirx.Expr, index: tirx.Expr | int, stride_bytes: int) -> None:
    """TILESTORED to rows that are so many bytes apart."""
    effect("llvm.x86.tilestored64", const(tile, "int8"), tirx.address_of(buffer[index]), const(stride_bytes, "int64"))


def tile_dot(acc: int, data: int, weights: int) -> None:
    """Tile `acc` (int32) += tile `data` (u8 rows) x tile `weights` (s8, four input channels interleaved), exact in
    int32."""
    effect("llvm.x86.tdpbusd", *(const(tile, "int8") for tile in (acc, data, weights)))
