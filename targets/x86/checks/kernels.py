"""The kernels of self-checks. Sums are s32 and wrap: they are numbers modulo 2^32. Their results are vectors of 16
words, whose order means nothing; `comparing_kernel` adds them up."""

from tvm import tirx
from tvm.tirx.script import builder as T

from ...cpu.expressions import bind, load_vector, pure, splat, store_vector
from ..conv.left_sums import LANES
from ..intrinsics import dot4, dot4_safe
from ..isa import current
from ..kernel import argument, emit_kernel, task_loop
from ..vector_loops import Accumulators
from .coefficients import BYTES, Weighted

_BYTES_A_MICROSECOND = 5e4
_TASKS = 8
SAFE_BASE = 128  # Two products of a byte and a digit to this base fit int16.


def digit_base() -> int:
    """To which base coefficients are written for the vector unit that kernels are being built for."""
    return 256 if current().vnni else SAFE_BASE


def weighted_sum(w: Weighted) -> tirx.PrimFunc:
    """PrimFunc(data u8[], starts s32[rows], offsets s32[rows], digits s8[..], sums s32[tasks * 16]): the sum over data
    * coefficients. A row reads whole vectors. A bit that flips in `starts` or `offsets` leads to a wrong sum, but never
    out of the data."""
    _, vectors, digits, _ = w.digits.shape
    return emit_kernel(
        f"weighted_{len(w.starts)}x{vectors}x{digits}",
        lambda: _weighted(len(w.starts), int(w.starts.max()), w.digits.size, vectors, digits),
    )


def _weighted(rows: int, last: int, size: int, vectors: int, digits: int) -> None:
    elements, last_offset = last + vectors * BYTES, size - vectors * digits * BYTES
    data, starts, offsets = (
        argument("data", elements, "uint8"),
        argument("starts", rows, "int32"),
        argument("offsets", rows, "int32"),
    )
    coefficients = argument("digits", size, "int8")
    tasks = min(_TASKS, rows)
    sums = argument("sums", tasks * LANES, "int32")
    share, lanes, parts = -(-rows // tasks), current().lanes, current().parts
    unroll = min(vectors, 4 if parts == 1 else 1)

    with task_loop(tasks, rows * vectors * BYTES / _BYTES_A_MICROSECOND) as task:
        acc = Accumulators(unroll * digits * parts, "int32", lanes)
        for i in range(unroll * digits * parts):
            acc[i] = splat(0, "int32", lanes)

        def piece(at: tirx.Expr, to: tirx.Expr | int, chain: tirx.Expr | int) -> None:
            for part in range(parts):
                x = bind(load_vector(data, at + part * 4 * lanes, 4 * lanes))
                for d in range(digits):
                    i = (chain * digits + d) * parts + part
                    acc[i] = (dot4 if current().vnni else dot4_safe)(
                        acc[i], x, load_vector(coefficients, to + d * BYTES + part * 4 * lanes, 4 * lanes)
                    )

        first = bind(task * share)
        with T.serial(0, tirx.max(0, tirx.min(share, rows - first))) as k:
            at, to = (
                bind(tirx.max(0, tirx.min(table[first + k], limit)))
                for table, limit in ((starts, last), (offsets, last_offset))
            )
            with T.serial(0, vectors // unroll) as group:
                for chain in range(unroll):
                    vector = group * unroll + chain
                    piece(at + vector * BYTES, to + vector * (digits * BYTES), chain)
            for last in range(vectors // unroll * unroll, vectors):
                piece(at + last * BYTES, to + last * (digits * BYTES), last % unroll)
        bits = (digit_base() - 1).bit_length()
        for part in range(parts):
            total = splat(0, "int32", lanes)
            for d in range(digits):
                for chain in range(unroll):
                    total = total + (acc[(chain * digits + d) * parts + part] << splat(bits * d, "int32", lanes))
            store_vector(sums, task * LANES + part * lanes, total)


def comparing_kernel(left: tuple[int, ...], right: tuple[int, ...], constant: int) -> tirx.PrimFunc:
    """PrimFunc(s32[size] for every size of left and right, word s32[1]): word = all of left - all of right - constant;
    0 where both sides agree."""
    return emit_kernel(f"compare_{sum(left)}_{sum(right)}", lambda: _compare(left, right, constant))


def _compare(left: tuple[int, ...], right: tuple[int, ...], constant: int) -> None:
    sides = [(argument(f"side{i}", size, "int32"), size, i < len(left)) for i, size in enumerate((*left, *right))]
    word = argument("word", 1, "int32")
    acc = Accumulators(1, "int32")
    acc[0] = splat(0, "int32")
    for side, size, adds in sides:
        with T.serial(0, size // LANES) as i:
            value = load_vector(side, i * LANES, LANES)
            acc[0] = acc[0] + value if adds else acc[0] - value
    T.buffer_store(word, pure("int32", "llvm.vector.reduce.add", acc[0]) - tirx.const(constant, "int32"), [0])
