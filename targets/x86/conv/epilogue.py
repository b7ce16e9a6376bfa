"""The epilogue of a convolution: bias, residual, activation, requantize, clip, table; from accumulator vectors to
stores.

The equations are those of octet.conv2d (passes/ops.py). Four vectors of 16 results are rounded, packed and clipped
together. The conversion to int32 relies on the overflow proof (passes/realize/overflow.py): |acc * multiplier| <
2**31."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any

from tvm import tirx
from tvm.tirx.script import builder as T

from ...cpu.expressions import bind, load_vector, splat, store_vector
from ..elementwise.bfloat16 import pack_bits, round_bits
from ..elementwise.table import ENTRIES, permuted
from ..intrinsics import fence, pack_bytes, pack_interleaved, part, round_to_int
from ..kernel import argument
from ..layout import STORED_OFFSET
from .problem import ConvProblem, Epilogue

if TYPE_CHECKING:
    from .left_sums import Sums
    from .problem import TableEpilogue


SumsAt = Callable[[int, int], tirx.Expr]  # The arguments are (row, vector), and the result has 16 sums.


@dataclass(frozen=True)
class Row:
    """One pixel of the result: `index` of its first element in the output (and residual), `valid`: condition, or None
    for always."""

    index: tirx.Expr | int
    valid: tirx.Expr | None = None


@dataclass(frozen=True)
class Operands:
    """Buffers of the epilogue; multiplier, residual, table and sums (sums.Sums) may be None. lanes: channels of a
    vector that the output has room for (4 where its pixels are 4 bytes)."""

    out: tirx.Buffer
    multiplier: Any  # The field is None where the epilogue has no multipliers, else their buffer.
    residual: Any
    lanes: int = 16
    table: tirx.Buffer | None = None
    sums: "Sums | None" = None


def table_argument(e: Epilogue) -> tirx.Buffer | None:
    """The kernel's argument behind the multipliers, u8[256]; None without a table."""
    return argument("table", ENTRIES, "uint8") if e.table else None


def emit_epilogue(
    e: Epilogue, operands: Operands, rows: list[Row], vectors: int, channel: tirx.Expr | int, accumulator: SumsAt
) -> None:
    """Writes rows x (vectors * 16) results. channel: index of the first output channel. accumulator(row, vector) -> 16
    sums, bias included."""
    if operands.sums is not None:
        operands.sums.add(rows, vectors, channel, accumulator)
    if e.out_dtype in ("float32", "bfloat16"):
        for r, row in enumerate(rows):
            with _guard(row):
                for v in range(vectors):
                    at = row.index + channel + v * 16
                    value = _float_result(e, operands, accumulator(r, v), channel + v * 16, at)
                    store_vector(
                        operands.out, at, value if e.out_dtype == "float32" else pack_bits(round_bits(bind(value)))
                    )
        return
    items = [(r, v) for r in range(len(rows)) for v in range(vectors)]
    for start in range(0, len(items), 4):
        _pack_group(e, operands, rows, channel, accumulator, items[start : start + 4])


def emit_depthwise(
    e: Epilogue,
    operands: Operands,
    rows: list[Row],
    channel: tirx.Expr | int,
    channels: int,
    accumulator: SumsAt,
) -> None:
    """The epilogue for 64 channels of a depthwise convolution, whose four accumulators hold interleaved channels
    (`interleave_bytes`): writes `channels` results of each row, whose index is that of the first of them. channel:
    where their multipliers are. A residual is not for this order: see `supports_depthwise`."""
    if operands.sums is not None:
        operands.sums.add(rows, 4, channel, accumulator)
    for r, row in enumerate(rows):
        if e.out_dtype == "float32":
            values = [
                bind(
                    _clip_float(
                        e,
                        tirx.Cast("float32x16", accumulator(r, v))
                        * load_vector(operands.multiplier, channel + v * 16, 16),
                    )
                )
                for v in range(4)
            ]
            for lane in range(max(1, channels // 16)):  # A 128-bit lane of all four holds 16 neighbouring channels.
                store_vector(
                    operands.out,
                    row.index + lane * 16,
                    tirx.Shuffle(values, [v * 16 + lane * 4 + i for v in range(4) for i in range(4)]),
                )
            continue
        scaled = [
            tirx.Cast("float32x16", accumulator(r, v)) * load_vector(operands.multiplier, channel + v * 16, 16)
            for v in range(4)
        ]
        words = [bind(round_to_int(x)) for x in scaled]
        packed = _to_bytes(e, operands, pack_interleaved(words, e.out_zero_point + STORED_OFFSET))
        for offset, size in _pieces(max(1, channels // 16)):
            store_vector(operands.out, row.index + offset * 16, part(packed, offset * 16, min(size * 16, channels)))


def supports_depthwise(p: ConvProblem) -> bool:
    """Whether the interleaved order of the depthwise kernel can serve this problem; otherwise the general kernels take
    the convolution. float32 has no form of few channels, so its pixels must be as far apart as those of the data."""
    return not p.epilogue.residual and (p.epilogue.out_dtype == "int8" or p.data_stride == p.out_stride)


def _pack_group(
    e: Epilogue,
    operands: Operands,
    rows: list[Row],
    channel: tirx.Expr | int,
    accumulator: SumsAt,
    group: Sequence[tuple[int, int]],
) -> None:
    words = []
    for r, v in group:
        scaled = tirx.Cast("float32x16", accumulator(r, v)) * load_vector(operands.multiplier, channel + v * 16, 16)
        if e.residual:
            stored = load_vector(operands.residual, rows[r].index + channel + v * 16, 16)
            shifted = tirx.Cast(
                "float32x16", tirx.Cast("int32x16", stored) - splat(e.residual_zero_point + STORED_OFFSET, "int32")
            )
            scaled = fence(scaled) + fence(shifted * splat(e.residual_multiplier, "float32"))
        words.append(bind(round_to_int(scaled)))
    packed = _to_bytes(e, operands, pack_bytes(words + words[-1:] * (4 - len(words)), e.out_zero_point + STORED_OFFSET))
    for r in sorted({r for r, _ in group}):
        lanes = [i for i, (row, _) in enumerate(group) if row == r]
        with _guard(rows[r]):
            at = rows[r].index + channel + group[lanes[0]][1] * 16
            for offset, size in _pieces(len(lanes)):
                store_vector(
                    operands.out,
                    at + offset * 16,
                    part(packed, (lanes[0] + offset) * 16, min(size * 16, operands.lanes * size)),
                )


def _pieces(vectors: int) -> list[tuple[int, int]]:
    return {1: [(0, 1)], 2: [(0, 2)], 3: [(0, 2), (2, 1)], 4: [(0, 4)]}[vectors]


def _to_bytes(e: "Epilogue | TableEpilogue", operands: Operands, packed: tirx.Expr) -> tirx.Expr:
    """The last steps, on 64 bytes."""
    clipped = bind(_clip_bytes(e, packed))
    return bind(permuted(clipped, operands.table)) if operands.table is not None else clipped


def _clip_bytes(e: "Epilogue | TableEpilogue", value: tirx.Expr) -> tirx.Expr:
    low, high = int(e.clip_min) + STORED_OFFSET, int(e.clip_max) + STORED_OFFSET
    if low > 0:
        value = tirx.max(value, splat(low, "uint8", 64))
    return tirx.min(value, splat(high, "uint8", 64)) if high < 255 else value


def _float_result(
    e: Epilogue, operands: Operands, acc: tirx.Expr, channel: tirx.Expr | int, at: tirx.Expr | int
) -> tirx.Expr:
    value = (
        tirx.Cast("float32x16", acc) * load_vector(operands.multiplier, channel, 16)
        if operands.multiplier is not None
        else acc
    )
    if e.residual:
        value = value + load_vector(operands.residual, at, 16)
    return _clip_float(e, value)


def _clip_float(e: Epilogue, value: tirx.Expr) -> tirx.Expr:
    if e.clip_min != -inf:
        value = tirx.max(value, splat(float(e.clip_min), "float32"))
    return tirx.min(value, splat(float(e.clip_max), "float32")) if e.clip_max != inf else value


def _guard(row: Row) -> AbstractContextManager[None]:
    if row.valid is None:
        return nullcontext()
    return _If(row.valid)


class _If:
    """`if condition:` without an else branch."""

    def __init__(self, condition: tirx.Expr) -> None:
        self.frames = (T.If(condition), T.Then())

    def __enter__(self) -> None:
        for frame in self.frames:
            frame.__enter__()

    def __exit__(self, *error: Any) -> None:
        for frame in reversed(self.frames):
            frame.__exit__(*error)
