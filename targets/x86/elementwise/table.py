"""octet.table: y = table[q + 128], one table of 256 bytes for the tensor or one per channel.

With AVX512-VBMI two permutations over 128 bytes each and a blend. Without, 16 shuffles of 16 bytes each: entry 16 k + n
of a half table is the XOR of differences D[0..k][n]; a saturating subtraction of 16 per step leaves index byte x
negative, for which VPSHUFB yields zero, from step x // 16 + 1 on."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from tvm import tirx
from tvm.tirx.script import builder as T

from ...arm64 import instructions as neon
from ...cpu.expressions import bind, load_vector, pure, splat
from ..intrinsics import shuffle_bytes
from ..isa import current
from ..kernel import argument, built_once, emit_kernel
from ..layout import SLACK, STORED_OFFSET, channel_stride
from ..vector import BYTES, store_bytes
from ..vector_loops import LoopSchedule, default_loops, each, sweep

ENTRIES = 256
_STEPS = 8  # Half of the 256 entries are eight tables of 16 bytes.


@dataclass(frozen=True)
class TableProblem:
    """An int8 tensor looked up in tables. pixels x channels: the packed tensor. vbmi: whether the processor has byte
    permutations."""

    pixels: int
    channels: int
    per_channel: bool
    vbmi: bool
    dtype = "int8"
    multiply_adds = 0

    @property
    def elements(self) -> int:
        """Elements of the buffer, with what fills up the pixels, which is looked up as well."""
        return self.pixels * channel_stride(self.channels, "int8")

    @property
    def traffic(self) -> int:
        """Bytes read and written."""
        return 2 * self.elements

    @property
    def light(self) -> bool:
        """Whether it takes no longer than reading and writing do."""
        return self.vbmi and not self.per_channel

    @property
    def name(self) -> str:
        """The kernel's, as in `table_196x64_per_channel`."""
        return f"table_{self.pixels}x{self.channels}" + ("_per_channel" if self.per_channel else "")


def pack_tables(p: TableProblem, table: np.ndarray) -> np.ndarray:
    """int8 [256] or [C, 256] (index: s8 + 128) -> the bytes that the kernel reads."""
    assert table.shape == ((p.channels, ENTRIES) if p.per_channel else (ENTRIES,)), table.shape
    stored = stored_table(table)
    if p.per_channel or p.vbmi:
        return stored.reshape(-1)
    parts = stored.reshape(2, _STEPS, 16).copy()
    parts[:, 1:] ^= parts[:, :-1].copy()
    return parts.reshape(-1)


def stored_table(table: np.ndarray) -> np.ndarray:
    """A table of int8 values as the bytes that are stored for them."""
    return (table.astype(np.int16) + STORED_OFFSET).astype(np.uint8)


@built_once
def table_kernel(p: TableProblem, schedule: LoopSchedule | None = None) -> tirx.PrimFunc:
    """The kernel (x, table, y) of octet.table on uint8 buffers; `table` as `pack_tables` makes it."""
    how = schedule if schedule is not None else default_loops(p)

    def body() -> None:
        x = argument("x", p.elements + SLACK, "uint8")
        table = argument("table", ENTRIES * (p.channels if p.per_channel else 1), "uint8")
        y = argument("y", p.elements + SLACK, "uint8")
        if p.per_channel:
            _per_channel(p, how, x, table, y)
            return
        look_up = permuted if p.vbmi else _shuffled
        sweep(
            p.elements,
            BYTES,
            how,
            lambda at, count: store_bytes(y, at, bind(look_up(bind(load_vector(x, at, BYTES)), table)), count),
        )

    return emit_kernel(p.name, body)


def permuted(index: tirx.Expr, table: tirx.Buffer) -> tirx.Expr:
    """table[index] of uint8x64 with byte permutations; table: a buffer of 256 stored bytes."""
    if current().neon:
        return neon.permuted(index, [bind(load_vector(table, at, 16)) for at in range(0, ENTRIES, 16)])
    low, high = (
        pure(
            "uint8x64",
            "llvm.x86.avx512.vpermi2var.qi.512",
            load_vector(table, at, BYTES),
            index,
            load_vector(table, at + BYTES, BYTES),
        )
        for at in (0, 128)
    )
    return tirx.Select(tirx.GE(index, splat(128, "uint8", BYTES)), high, low)


def _shuffled(index: tirx.Expr, table: tirx.Buffer) -> tirx.Expr:
    result: Any = None
    for half, start in enumerate((index, index ^ splat(128, "uint8", BYTES))):
        at = bind(tirx.reinterpret("int8x64", start))
        for step in range(_STEPS):
            entries = tirx.Shuffle([load_vector(table, (half * _STEPS + step) * 16, 16)] * 4, list(range(BYTES)))
            found = shuffle_bytes(entries, tirx.reinterpret("uint8x64", at))
            result = bind(found if result is None else result ^ found)
            at = bind(pure("int8x64", "llvm.ssub.sat", at, splat(16, "int8", BYTES)))
    return result


def _per_channel(p: TableProblem, how: LoopSchedule, x: tirx.Buffer, table: tirx.Buffer, y: tirx.Buffer) -> None:
    stride = channel_stride(p.channels, "int8")
    with each(p.pixels, how) as pixel:
        row = bind(pixel * stride)
        with T.serial(0, p.channels) as c:
            T.buffer_store(y, table[c * ENTRIES + tirx.Cast("int32", x[row + c])], [row + c])
